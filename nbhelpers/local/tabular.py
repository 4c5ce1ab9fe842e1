"""`TabularDataset`: a stored table, lazy steps on it, and its registration in versions."""

from __future__ import annotations

import json
import re
import secrets
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nbhelpers.errors import UserErrorException, nearest
from nbhelpers.local.arguments import check_tags, check_text, check_workspace
from nbhelpers.local.store import Store, datasets, now

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from nbhelpers.local.views import Column, Expression, Step
    from nbhelpers.local.workspace import Workspace

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_. -]{0,253}[A-Za-z0-9_.-])?")

#: What the SDK calls the steps.
_SHOWN = {"take": "Take", "skip": "Skip", "sample": "Sample", "filter": "Filter"}


@dataclass(frozen=True)
class _Registration:
    id: str
    name: str
    version: int
    workspace: Workspace


class TabularDataset:
    """A table and the steps that are done to it when it is used; it never changes.

    Get one from `Dataset`. Every step gives a new data set, and is evaluated only by `to_pandas_dataframe` and
    `materialize`.

    Attributes
    ----------
    columns : list of str
        The names of the columns (not in the SDK).
    id, name, version
        Of a registered data set; None otherwise.
    """

    __hash__ = object.__hash__

    def __init__(
        self,
        store: Store,
        definition: Mapping[str, Any],
        registration: _Registration | None = None,
    ) -> None:
        self._store = store
        # "source": names; "read": how it was read; "table": the digest of the stored table; "columns": the names of
        # those kept, or None; "steps": see views.
        self._definition = dict(definition)
        self._registration = registration

    # --- what it is ---------------------------------------------------------------------------------------------

    @property
    def id(self) -> str | None:
        """The id of a registered data set."""
        return self._registration.id if self._registration else None

    @property
    def name(self) -> str | None:
        """The name of a registered data set."""
        return self._registration.name if self._registration else None

    @property
    def version(self) -> int | None:
        """The version of a registered data set."""
        return self._registration.version if self._registration else None

    @property
    def description(self) -> str | None:
        """The description of a registered data set."""
        return self._row()["description"] if self._registration else None

    @property
    def tags(self) -> dict[str, str]:
        """The tags of a registered data set, as they are now."""
        return dict(self._row()["tags"]) if self._registration else {}

    @cached_property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        kept: list[str] | None = self._definition["columns"]
        return list(self._schema.names) if kept is None else list(kept)

    @cached_property
    def row_count(self) -> int:
        """The number of rows (not in the SDK); without a filter or sample it takes no reading of rows."""
        from nbhelpers.local.files import open_parquet
        from nbhelpers.local.views import evaluate

        count: int = open_parquet(self._path).metadata.num_rows
        for step in self._steps:
            if step["step"] == "take":
                count = min(count, step["count"])
            elif step["step"] == "skip":
                count = max(count - step["count"], 0)
            else:
                return sum(batch.num_rows for batch in evaluate(self._path, self.columns[:1], self._steps))
        return count

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, after all steps (not in the SDK); equal for equal tables, wherever they came from.

        Raises
        ------
        DataError
            The steps leave no rows.
        """
        from nbhelpers.local.files import store_table
        from nbhelpers.local.views import evaluate

        if not self._steps and self.columns == self._schema.names:
            return str(self._definition["table"])
        import pyarrow as pa

        schema = pa.schema([self._schema.field(column) for column in self.columns])
        rows = evaluate(self._path, self.columns, self._steps)
        return store_table(schema, rows, self._store, "The data set after its steps")

    def materialize(self) -> Path:
        """Evaluate all steps and give the stored Parquet file, ``<digest>.parquet`` (not in the SDK).

        A run that records the digest can open exactly its data again with `Dataset.from_digest`.
        """
        from nbhelpers.local.files import stored_path

        return stored_path(self._store, self.digest)

    # --- steps --------------------------------------------------------------------------------------------------

    def take(self, count: int) -> TabularDataset:
        """The first rows, `count` at most."""
        return self._with_step({"step": "take", "count": _count(count)})

    def skip(self, count: int) -> TabularDataset:
        """All rows but the first `count`."""
        return self._with_step({"step": "skip", "count": _count(count)})

    def take_sample(self, probability: float, seed: int | None = None) -> TabularDataset:
        """Each row with a probability, so about that share of the rows.

        Parameters
        ----------
        probability : float
            From 0 to 1.
        seed : int, optional
            The same seed gives the same rows; None draws one.
        """
        return self._with_step({"step": "sample", **_draw("probability", probability, seed)})

    def random_split(self, percentage: float, seed: int | None = None) -> tuple[TabularDataset, TabularDataset]:
        """Two data sets, such that each row is in one of them, by chance.

        Parameters
        ----------
        percentage : float
            The share of the rows in the first, from 0 to 1; it is met approximately, as in the SDK.
        seed : int, optional
            The same seed gives the same split; None draws one.
        """
        step = {"step": "sample", **_draw("percentage", percentage, seed)}
        return self._with_step(step), self._with_step({**step, "rest": True})

    def keep_columns(self, columns: str | Sequence[str], validate: bool = False) -> TabularDataset:  # noqa: ARG002
        """Only these columns, in the order given; unknown ones are refused whether or not `validate` is set."""
        return self._with_columns(list(dict.fromkeys(self._known(columns))))

    def drop_columns(self, columns: str | Sequence[str]) -> TabularDataset:
        """All columns but these."""
        dropped = self._known(columns)
        return self._with_columns([column for column in self.columns if column not in dropped])

    def filter(self, expression: Expression) -> TabularDataset:
        """The rows for which an expression holds, such as ``(ds["age"] > 30) & (ds["job"] == "student")``."""
        from nbhelpers.local.views import Expression, columns_of

        if not isinstance(expression, Expression):
            raise UserErrorException(
                f"filter() was given {expression!r}, which is no test of rows.",
                "Compare a column, as in ds.filter(ds['age'] > 30).",
            )
        self._known(sorted(columns_of(expression.form)))
        return self._with_step({"step": "filter", "test": expression.form})

    def __getitem__(self, column: str) -> Column:
        """A column, to compare in `filter`."""
        from nbhelpers.local.views import Column

        if not isinstance(column, str):
            raise UserErrorException(
                f"ds[{column!r}] does not name one column.", "Give a name, or use ds.keep_columns([…]) for several."
            )
        return Column(self._known(column)[0], self._schema.field(column).type)

    # --- use ----------------------------------------------------------------------------------------------------

    def to_pandas_dataframe(self, on_error: str = "null", out_of_range_datetime: str = "null") -> pd.DataFrame:
        """Evaluate all steps.

        Columns are int64, float64, bool, datetime64[ns] or object; whole numbers with missing values are float64.

        Parameters
        ----------
        on_error : {"null", "fail"}
            For the SDK's sake; the types of stored tables fit all their values.
        out_of_range_datetime : {"null", "error"}
            What becomes of dates that pandas cannot hold (before 1677, after 2262).

        Raises
        ------
        DataError
            The stored table is missing or damaged, or there is such a date and it is to be an error.
        """
        from nbhelpers.local.views import evaluate, to_frame

        _one_of("on_error", on_error, ("null", "fail"))
        _one_of("out_of_range_datetime", out_of_range_datetime, ("null", "error"))
        rows = evaluate(self._path, self.columns, self._steps)
        return to_frame(rows, self._schema, self.columns, refuse_dates=out_of_range_datetime == "error")

    def register(
        self,
        workspace: Workspace,
        name: str,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        create_new_version: bool = False,
    ) -> TabularDataset:
        """Keep the data set in a workspace under a name.

        If the latest version of that name is the same data with the same steps, it is given back with a notice, and
        takes over `description` and `tags` where they are given.

        Parameters
        ----------
        workspace : Workspace
        name : str
            1 to 255 letters, digits, ``_``, ``.``, ``-`` or inner blanks; the first a letter or digit.
        description : str, optional
        tags : mapping of str to str, optional
        create_new_version : bool
            Add a version if the name is taken.

        Raises
        ------
        UserErrorException
            The name is malformed, or taken while `create_new_version` is False.
        """
        from nbhelpers.local.files import stored_path
        from nbhelpers.local.sources import copy_atomically

        check_registration(workspace, name, description, tags)
        store = workspace.store
        target = store.data_folder / self._path.name
        if not target.is_file():
            copy_atomically(stored_path(self._store, self._definition["table"]), target)
        latest_first = sa.select(datasets).where(datasets.c.name == name).order_by(datasets.c.version.desc())
        with store.writing() as connection:
            latest = connection.execute(latest_first).mappings().first()
            if latest and _content(latest["definition"]) == _content(self._definition):
                changes = {"description": description, "tags": None if tags is None else dict(tags)}
                given = {column: value for column, value in changes.items() if value is not None}
                if given:
                    connection.execute(sa.update(datasets).where(datasets.c.id == latest["id"]).values(**given))
                print(f"An identical data set is already registered: {name}, version {latest['version']}.")
                return of_row(workspace, latest)
            if latest and not create_new_version:
                raise UserErrorException(
                    f"There is already a data set registered under the name {name!r}, with other content "
                    f"(version {latest['version']}).",
                    "Specify create_new_version=True to register this one as a new version, or choose another name.",
                )
            row = {
                "id": str(uuid.uuid4()),
                "name": name,
                "version": latest["version"] + 1 if latest else 1,
                "created": now(),
                "description": description,
                "tags": dict(tags or {}),
                "definition": self._definition,
            }
            connection.execute(sa.insert(datasets).values(**row))
        return of_row(workspace, row)

    def add_tags(self, tags: Mapping[str, str]) -> TabularDataset:
        """Add tags to the registered data set, or change them; gives the data set back, as the SDK does."""
        registration = self._registration
        if registration is None:
            raise UserErrorException("The data set is not registered, so it has no tags.", "Call register() first.")
        check_tags(tags)
        with self._store.writing() as connection:
            chosen = datasets.c.id == registration.id
            known: dict[str, str] = connection.execute(sa.select(datasets.c.tags).where(chosen)).scalar_one()
            connection.execute(sa.update(datasets).where(chosen).values(tags={**known, **tags}))
        return self

    def __repr__(self) -> str:
        steps = [_SHOWN[step["step"]] for step in self._steps]
        columns = ["KeepColumns"] if self._definition["columns"] is not None else []
        shown: dict[str, Any] = {
            "source": self._definition["source"],
            "definition": [*self._definition["read"], *steps, *columns],
        }
        if self._registration:
            shown["registration"] = {
                "id": self.id,
                "name": self.name,
                "version": self.version,
                "workspace": repr(self._registration.workspace),
            }
        return f"TabularDataset\n{json.dumps(shown, indent=2, ensure_ascii=False)}"

    # --- inside -------------------------------------------------------------------------------------------------

    @property
    def _steps(self) -> list[Step]:
        return list(self._definition["steps"])

    @property
    def _path(self) -> Path:
        from nbhelpers.local.files import stored_path

        return stored_path(self._store, self._definition["table"])

    @cached_property
    def _schema(self) -> pa.Schema:
        from nbhelpers.local.files import open_parquet

        return open_parquet(self._path).schema_arrow

    def _row(self) -> sa.RowMapping:
        row = self._store.one(sa.select(datasets).where(datasets.c.id == self.id))
        if row is None:
            raise UserErrorException(
                f"The data set {self.name!r}, version {self.version}, is no longer in the workspace.",
                "Register it again.",
            )
        return row

    def _with_step(self, step: Step) -> TabularDataset:
        return TabularDataset(self._store, {**self._definition, "steps": [*self._steps, step]})

    def _with_columns(self, columns: list[str]) -> TabularDataset:
        if not columns:
            raise UserErrorException("No column would be left.", "Keep one column at least.")
        return TabularDataset(self._store, {**self._definition, "columns": columns})

    def _known(self, columns: str | Iterable[str]) -> list[str]:
        if not isinstance(columns, Iterable):
            raise UserErrorException(f"{columns!r} names no columns.", "Give a name, or a list of names.")
        wanted = [columns] if isinstance(columns, str) else list(columns)
        for column in wanted:
            if column not in self.columns:
                near = nearest(column, self.columns)
                raise UserErrorException(
                    f"The data set has no column {column!r}; it has: {', '.join(self.columns)}.",
                    f"Name {near!r} instead." if near else "Name one of these columns.",
                )
        return wanted


def of_row(workspace: Workspace, row: sa.RowMapping | dict[str, Any]) -> TabularDataset:
    """The registered data set of a row of the store."""
    registration = _Registration(row["id"], row["name"], row["version"], workspace)
    return TabularDataset(workspace.store, row["definition"], registration)


def unregistered(store: Store, table: str, source: Iterable[str], read: Iterable[str] = ()) -> TabularDataset:
    """A data set of a whole stored table, by its digest; `source` and `read` are what its repr shows."""
    definition = {"source": list(source), "read": list(read), "table": table, "columns": None, "steps": []}
    return TabularDataset(store, definition)


def check_registration(workspace: object, name: object, description: object, tags: object) -> None:
    """Refuse arguments that nothing can be registered with."""
    check_workspace(workspace)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserErrorException(
            f"{name!r} cannot be the name of a data set.",
            "Use 1 to 255 letters, digits, '_', '.', '-' or inner blanks; begin with a letter or digit.",
        )
    check_text("description", description)
    if tags is not None:
        check_tags(tags)


def _content(definition: Mapping[str, Any]) -> list[Any]:
    """What makes two definitions the same data: not where it was read from."""
    return [definition[part] for part in ("table", "columns", "steps")]


def _count(count: object) -> int:
    if isinstance(count, bool) or not isinstance(count, Integral) or int(count) < 0:
        raise UserErrorException(f"{count!r} is not a number of rows.", "Give a whole number from 0 on.")
    return int(count)


def _draw(argument: str, share: object, seed: object) -> dict[str, Any]:
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise UserErrorException(f"{argument}={share!r} is not a share from 0 to 1.", "Give one such as 0.8.")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, Integral) or int(seed) < 0):
        raise UserErrorException(f"seed={seed!r} is not a whole number from 0 on.", "Give one, or leave it out.")
    return {"probability": float(share), "seed": secrets.randbits(32) if seed is None else int(seed)}


def _one_of(argument: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserErrorException(f"{argument}={value!r} is unknown.", f"Use {' or '.join(map(repr, allowed))}.")
