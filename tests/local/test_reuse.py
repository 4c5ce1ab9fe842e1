from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from nbhelpers.errors import UserErrorException
from nbhelpers.local import AutoMLConfig, AutoMLStep, Pipeline, reuse
from nbhelpers.local.reuse import changes, find_reusable, fingerprint, fingerprint_parts
from nbhelpers.local.store import runs

from .conftest import bank_like


def step_of(seed: SimpleNamespace, data: Any = None, label: str = "y", **settings: Any) -> dict[str, Any]:
    """The definition of the seed's step with other data or settings, through JSON as a store gives it back."""
    config = AutoMLConfig(
        "classification",
        compute_target=seed.compute_target,
        training_data=seed.dataset if data is None else data,
        label_column_name=label,
        **(seed.automl_settings | {"enable_early_stopping": True} | settings),
    )
    definition: dict[str, Any] = json.loads(json.dumps(AutoMLStep("automl_module", config).definition()))
    return definition


def decide(seed: SimpleNamespace, step: dict[str, Any], parts: dict[str, Any] | None = None) -> reuse.Reuse:
    return find_reusable(seed.ws.store, step, parts or fingerprint_parts(step), regenerate_outputs=False)


def test_an_unchanged_step_says_what_is_the_same(seed: SimpleNamespace) -> None:
    found = decide(seed, step_of(seed))
    assert found.original is not None
    assert found.why == (
        "reused: settings, the data (400 rows), label, engine and package versions are those of run "
        f"{found.original['parent_id']}"
    )


@pytest.mark.parametrize("setting", ["max_concurrent_iterations", "max_cores_per_iteration"])
def test_how_fast_a_search_is_does_not_decide(seed: SimpleNamespace, setting: str) -> None:
    assert decide(seed, step_of(seed, **{setting: 1})).original is not None


def test_changed_settings_are_named_with_their_old_and_new_values(seed: SimpleNamespace) -> None:
    found = decide(seed, step_of(seed, iterations=7, blocked_models=["RandomForest"]))
    assert found.original is None
    assert found.why.startswith("new run: changed since run ")
    assert found.why.endswith(": iterations 4 to 7, blocked_models None to ['RandomForest']")


def test_changed_data_is_named_with_its_rows(seed: SimpleNamespace) -> None:
    frame = seed.dataset.to_pandas_dataframe()
    assert decide(seed, step_of(seed, frame.head(390))).why.endswith("data (400 to 390 rows)")
    assert decide(seed, step_of(seed, frame.assign(age=1))).why.endswith("data (other content, 400 rows)")


def test_changed_validation_data_is_named_with_its_rows(seed: SimpleNamespace) -> None:
    by = {"validation_data": bank_like(60, seed=2), "n_cross_validations": None}
    why = decide(seed, step_of(seed, **by)).why
    assert why.endswith(": n_cross_validations 3 to None, validation data (none to 60 rows)")
    before, other = step_of(seed, **by), step_of(seed, **by | {"validation_data": bank_like(60, seed=3)})
    old = before | {"fingerprint_parts": fingerprint_parts(before)}
    assert changes(old, other, fingerprint_parts(other)) == ["validation data (other content, 60 rows)"]


def test_another_label_is_named(seed: SimpleNamespace) -> None:
    assert decide(seed, step_of(seed, label="job")).why.endswith(": label y to job")


def test_the_engine_and_packages_are_named(seed: SimpleNamespace) -> None:
    step = step_of(seed)
    parts = fingerprint_parts(step)
    newer = parts | {"engine": "0", "packages": parts["packages"] | {"lightgbm": "99.0"}}
    version = parts["packages"]["lightgbm"]
    assert decide(seed, step, newer).why.endswith(f": sources of the engine, package lightgbm {version} to 99.0")


def test_the_most_similar_of_earlier_runs_is_compared(seed: SimpleNamespace) -> None:
    store = seed.ws.store
    other = step_of(seed, seed.dataset.to_pandas_dataframe().head(350), iterations=9)
    row = dict(store.one(runs.select().where(runs.c.id == seed.step.id)))
    later = {
        "id": "later-and-less-similar",
        "created": "2999",
        "definition": other | {"fingerprint_parts": fingerprint_parts(other)},
        "fingerprint": "other",
    }
    with store.writing() as connection:
        connection.execute(runs.insert().values(row | later))
    try:
        why = decide(seed, step_of(seed, iterations=5)).why
    finally:
        with store.writing() as connection:
            connection.execute(runs.delete().where(runs.c.id == later["id"]))
    assert why.endswith(": iterations 4 to 5")


def test_a_run_without_its_outputs_is_not_reused(seed: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "model_file", lambda store, run_id: store.run_folder(run_id) / "cleaned-away")
    found = decide(seed, step_of(seed))
    assert found.original is None
    assert found.why.endswith("are gone")


@pytest.mark.parametrize("part", ["settings", "data", "validation", "label", "version", "engine", "packages"])
def test_every_part_decides_on_the_fingerprint(seed: SimpleNamespace, part: str) -> None:
    parts = fingerprint_parts(step_of(seed))
    assert fingerprint(parts) == fingerprint(dict(reversed(parts.items())))
    assert fingerprint(parts | {part: "other"}) != fingerprint(parts)


def test_every_source_of_the_engine_decides(
    seed: SimpleNamespace, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil
    from pathlib import Path

    from nbhelpers import automl

    step = step_of(seed)
    before = fingerprint_parts(step)["engine"]
    copy = Path(shutil.copytree(Path(automl.__file__).parent, tmp_path / "automl"))
    monkeypatch.setattr(automl, "__file__", str(copy / "__init__.py"))
    assert fingerprint_parts(step)["engine"] == before
    (copy / "proposals.py").write_text((copy / "proposals.py").read_text() + "\n")
    assert fingerprint_parts(step)["engine"] != before


def test_no_change_is_no_phrase(seed: SimpleNamespace) -> None:
    step = step_of(seed)
    parts = fingerprint_parts(step)
    assert changes(step | {"fingerprint_parts": parts}, step, parts) == []


def test_a_finished_run_is_not_continued(seed: SimpleNamespace) -> None:
    with pytest.raises(UserErrorException, match=r"is Finished, so there is nothing.*\n.*regenerate"):
        seed.pipeline_run.continue_run()


def test_a_hit_is_shown_where_it_is_submitted(seed: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    run = Pipeline(seed.ws, AutoMLStep("automl_module", seed.automl_config)).submit("shown")
    why = next(run.get_steps()).properties["nbhelpers.reuse"]
    assert f"Reuse of step automl_module: {why}\n" in capsys.readouterr().out
