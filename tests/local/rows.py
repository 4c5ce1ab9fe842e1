"""Runs as rows of the store, without training anything."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.dialects.sqlite import insert

from nbhelpers.local.store import Store, experiments, models, now, runs


def add_run(
    store: Store,
    *,
    status: str = "Finished",
    days: float = 1,
    children: Sequence[tuple[str, str]] = (),
    facts: Mapping[str, str] | None = None,
    table: str = "",
    experiment: str = "bank",
    **values: Any,
) -> tuple[str, str]:
    """Add a pipeline run that began two minutes before it ended, with its step; gives the ids of both.

    `days` is how long ago it ended, `children` has the status and score of each, `facts` and `values` are properties
    of the step and columns of the run.
    """
    run_id, step_id = str(uuid.uuid4()), str(uuid.uuid4())
    ended = datetime.now(UTC) - timedelta(days=days)
    times = {name: (ended - timedelta(minutes=2)).isoformat() for name in ("created", "started")}
    common = {"experiment": experiment, "definition": {}, "properties": {}, "tags": {}, "metrics": {}, **times}
    is_over = status not in ("NotStarted", "Running")
    common["error"] = {"code": "Test", "message": "It broke."} if status in ("Failed", "Canceled") else None
    common |= {"status": status, "ended": ended.isoformat() if is_over else None}
    step = {"id": step_id, "parent_id": run_id, "kind": "step", "name": "step", "definition": {"data_digest": table}}
    settings = {"num_iterations": "5", "primary_metric": "AUC_weighted"}
    run = {"id": run_id, "kind": "pipeline", "name": "run", "heartbeat": time.time()}
    with store.writing() as connection:
        connection.execute(insert(experiments).values(name=experiment, created=now(), tags={}).on_conflict_do_nothing())
        connection.execute(runs.insert().values(common | run | values))
        connection.execute(runs.insert().values(common | step | {"properties": settings | dict(facts or {})}))
        connection.execute(models.insert().values(digest=uuid.uuid4().hex, run_id=step_id, created=now()))
        for number, (state, score) in enumerate(children):
            child = {"id": f"{step_id}_{number}", "parent_id": step_id, "kind": "child", "name": "child"}
            child |= {"number": number, "status": state, "properties": {"score": score}}
            connection.execute(runs.insert().values(common | child))
    for part in (run_id, step_id, *(f"{step_id}_{number}" for number in range(len(children)))):
        store.run_folder(part).mkdir()
        (store.run_folder(part) / "file").write_bytes(bytes(1000))
    return run_id, step_id
