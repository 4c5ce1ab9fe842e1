"""Slots of a compute target, shared by all runs on it: a queue of tickets in the store.

Whoever has work draws a ticket. The first `max_nodes` tickets of a compute target are its slots in use, the others
wait, in the order in which they were drawn. A ticket leaves the queue when its work is done, or with its run when that
ends; so one that is among the first stays there, and no more than `max_nodes` are ever at work.
"""

from __future__ import annotations

import sqlalchemy as sa

from nbhelpers.errors import StoreError
from nbhelpers.local.processes import RUNNING
from nbhelpers.local.store import Store, compute_targets, runs, slots


class Slots:
    """The slots of a compute target, for one run.

    Parameters
    ----------
    store : Store
    compute_target : str
    max_nodes : int
        How many there are, should the compute target be deleted while the run is at work.
    run_id : str
        The pipeline run.
    """

    def __init__(self, store: Store, compute_target: str, max_nodes: int, run_id: str) -> None:
        self._store = store
        self._compute_target = compute_target
        self._max_nodes = max_nodes
        self._run_id = run_id

    def draw(self) -> int:
        """A new ticket, the last of the queue.

        Raises
        ------
        StoreError
            The run was ended from outside: nobody would take its ticket away.
        """
        mine = sa.select(runs.c.status).where(runs.c.id == self._run_id)
        row = slots.insert().values(compute_target=self._compute_target, run_id=self._run_id)
        with self._store.writing() as connection:
            if (status := connection.execute(mine).scalar_one_or_none()) not in RUNNING:
                raise StoreError(f"Run {self._run_id} is {status}.", "start another run")
            number: int = connection.execute(row.returning(slots.c.id)).scalar_one()
        return number

    def is_first(self, ticket: int) -> bool:
        """Whether the work of a ticket may begin; never, once the ticket is taken away."""
        queue = slots.alias()
        ahead = sa.select(sa.func.count()).where(queue.c.compute_target == self._compute_target, queue.c.id < ticket)
        size = sa.select(compute_targets.c.max_nodes).where(compute_targets.c.name == self._compute_target)
        numbers = ahead.scalar_subquery().label("ahead"), size.scalar_subquery().label("size")
        row = self._store.one(sa.select(*numbers).where(slots.c.id == ticket))
        return row is not None and bool(row["ahead"] < (row["size"] or self._max_nodes))

    def give_back(self, ticket: int) -> None:
        """Take a ticket out of the queue."""
        with self._store.writing() as connection:
            connection.execute(slots.delete().where(slots.c.id == ticket))

    def other_runs(self) -> list[str]:
        """The other runs with tickets in the queue."""
        others = slots.c.compute_target == self._compute_target, slots.c.run_id != self._run_id
        tickets = sa.select(slots.c.run_id).where(*others).distinct().order_by(slots.c.run_id)
        return [row["run_id"] for row in self._store.all(tickets)]
