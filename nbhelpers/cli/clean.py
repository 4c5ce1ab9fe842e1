"""``clean``: what the workspace and ``runs/`` hold, and its removal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nbhelpers.errors import BatchError, StoreError

if TYPE_CHECKING:
    from nbhelpers.local.cleaning import Plan

#: The longest time for --older-than, in days.
MOST_DAYS = 36500

app = typer.Typer()


@app.command()
def clean(
    older_than: Annotated[
        float | None, typer.Option(metavar="DAYS", help="Runs and batches that ended longer ago than this.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All batches, and the workspace with all it holds.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, only show what would be removed.")] = False,
) -> None:
    """Show what the workspace and runs/ hold, and remove it.

    By age, runs of the workspace go with their logs and models, and stored tables that nothing refers to any more.
    Registered data sets and experiments stay, and so do runs that others need.
    """
    from nbhelpers.batch import clean as batch
    from nbhelpers.batch.chain import project_folder
    from nbhelpers.local import cleaning as workspace
    from nbhelpers.local.processes import settle_all
    from nbhelpers.local.store import home_folder, open_store

    if everything and older_than is not None:
        raise BatchError("--all and --older-than contradict each other.", "Give one of them.")
    if yes and not everything and older_than is None:
        raise BatchError("--yes does not say what to remove.", "Add --older-than DAYS or --all.")
    if older_than is not None and not 0 <= older_than <= MOST_DAYS:  # which not-a-number is not, either
        raise BatchError(f"--older-than {older_than} is not from 0 to {MOST_DAYS}.", "Give days, such as 30.")
    home, sizes, store, plan = home_folder(), None, None, None
    try:
        if sizes := workspace.find_workspace(home):
            store = open_store(home)
    except StoreError as error:  # of a workspace of another version, only the size is known
        if everything and not sizes:
            raise
        print(error.problem)
    batches = batch.find_batches()
    _print_workspace(home, sizes or {}, workspace.count(store) if store else {})
    print(f"Batches in {project_folder() / 'runs'}: {len(batches) or 'none'}")
    for item in batches:
        print(f"  {item.path.name}  ended {item.ended:%Y-%m-%d %H:%M} UTC  {_megabytes(item.size)}")
    if everything:
        chosen = batches
        if store:
            settle_all(store)
        if sizes:
            workspace.check_idle(home)
    elif older_than is not None:
        chosen = batch.older_than(batches, older_than)
        plan = workspace.plan_removal(store, older_than) if store else None
    else:
        print("To remove: --older-than DAYS, or --all (all batches and the workspace); without --yes it only shows.")
        return
    if not (chosen or (everything and sizes) or (plan and (plan.runs or plan.leftovers))):
        old = "Nothing in it is that old." if plan or not sizes else "Only --all can remove this workspace."
        print("There is nothing to remove." if everything else old)
        return
    print("Removing:" if yes else "With --yes this removes:")
    for item in chosen:
        print(f"  batch {item.path}  {_megabytes(item.size)}")
    if plan:
        _print_plan(plan)
    elif everything and sizes:
        print(f"  workspace {home}")
    if not yes:
        return
    for item in chosen:
        batch.remove_batch(item)
    if store and plan:
        workspace.remove(store, plan)
        if plan.runs and not workspace.shrink(store):
            print("workspace.db stays as large as it is, since another process uses it; the next runs fill it.")
    elif everything and sizes:
        workspace.remove_workspace(home)


def _print_workspace(home: Path, sizes: dict[str, int], numbers: dict[str, int]) -> None:
    print(f"Workspace {home}: {_megabytes(sum(sizes.values())) if sizes else 'none'}")
    if sizes:
        print("  " + ", ".join(f"{part} {_megabytes(size)}" for part, size in sizes.items()))
    if numbers:
        print("  " + ", ".join(f"{name} {number}" for name, number in numbers.items()))


def _print_plan(plan: Plan) -> None:
    for run in plan.runs:
        line = f"{run.id}  {run.experiment}  {run.status}, ended {run.ended:%Y-%m-%d %H:%M} UTC"
        print(f"  run {line}  {_megabytes(run.size)}")
    for path, size in plan.leftovers.items():
        print(f"  {path}, which nothing refers to  {_megabytes(size)}")
    print(f"  together {_megabytes(plan.size)} of the workspace")
    for run_id, reason in plan.kept.items():
        print(f"Run {run_id} is kept: {reason}.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
