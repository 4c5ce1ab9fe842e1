"""`Dataset` and `Dataset.Tabular`, the SDK's names: data sets are read from files or frames, and looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nbhelpers.errors import UserErrorException, nearest
from nbhelpers.local.arguments import check_flags
from nbhelpers.local.column_types import DataType
from nbhelpers.local.names import NameMapping
from nbhelpers.local.store import datasets, open_store
from nbhelpers.local.tabular import TabularDataset, check_registration, of_row, unregistered

if TYPE_CHECKING:
    import pandas as pd

    from nbhelpers.local.workspace import Workspace

__all__ = ["DataType", "Dataset", "TabularDataset"]

Sources = str | Path | Sequence[str | Path]


class TabularDatasetFactory:
    """Reads tables; it is `Dataset.Tabular`.

    What is read is copied into the workspace folder as typed Parquet at once, and known by its content.
    """

    @staticmethod
    def from_delimited_files(
        path: Sources,
        validate: bool = True,  # noqa: ARG004
        include_path: bool = False,
        infer_column_types: bool = True,
        set_column_types: Mapping[str, DataType] | None = None,
        separator: str | None = ",",
        header: bool = True,
        partition_format: str | None = None,
        support_multi_line: bool = False,  # noqa: ARG004
        empty_as_string: bool = False,
        encoding: str = "utf8",
    ) -> TabularDataset:
        r"""Read separated text (CSV), plain or as ``.gz`` or ``.zip``.

        Parameters
        ----------
        path : str, Path, or sequence of them
            Files, or http(s) URLs; several files must have the same columns and are read one after the other.
        validate : bool
            Files are always read in full and checked, whatever is given here.
        include_path : bool
            Add the name of each row's file, as the first column ``Path``.
        infer_column_types : bool
            Find out what the columns hold, by the rules of `nbhelpers.local.column_types`; False: all is text.
        set_column_types : mapping of str to DataType, optional
            Types of some columns. A value that does not fit is refused (the SDK makes it missing).
        separator : str
            One character. ``","``, the default, or None: the one among ``, ; | tab`` that the file has.
        header : bool
            Whether the first line has the names; otherwise they are ``Column1``, ``Column2`` …
        partition_format : None
            Not supported.
        support_multi_line : bool
            Line breaks within quotes are always read as text, whatever is given here.
        empty_as_string : bool
            Empty fields in columns of text are ``""`` rather than missing.
        encoding : str
            Python's or the SDK's name. A byte order mark in the file goes before it; a file that is not UTF-8 while
            that is expected is read in the encoding it seems to have, and a line says so.

        Raises
        ------
        DataError
            A file cannot be read; the message names the file, and the line or column.
        UserErrorException
            An argument is wrong or not supported.
        """
        from nbhelpers.local.delimited import DelimitedOptions, store_delimited

        sources = _sources(path)
        _refuse("partition_format", partition_format)
        check_flags(
            {
                "include_path": include_path,
                "infer_column_types": infer_column_types,
                "header": header,
                "empty_as_string": empty_as_string,
            }
        )
        if separator is not None and (not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n'):
            raise UserErrorException(
                f"separator={separator!r} is not one character that can separate fields.",
                "Give one such as ';' or '\\t', or leave it out: it is found in the file.",
            )
        types = {} if set_column_types is None else set_column_types
        wrong = (
            [kind for kind in types.values() if not isinstance(kind, DataType)]
            if isinstance(types, Mapping)
            else [types]
        )
        if wrong:
            raise UserErrorException(
                f"set_column_types has {wrong[0]!r}, which is not a DataType of a column.",
                "Write it as in {'zip': DataType.to_string()}.",
            )
        options = DelimitedOptions(
            separator, header, encoding, infer_column_types, types, empty_as_string, include_path
        )
        store = open_store()
        table = store_delimited(sources, options, store)
        return unregistered(store, table, _shown(sources), ["GetFiles", "ParseDelimited", "SetColumnTypes"])

    @staticmethod
    def from_parquet_files(
        path: Sources,
        validate: bool = True,  # noqa: ARG004
        include_path: bool = False,
        set_column_types: Mapping[str, DataType] | None = None,
        partition_format: str | None = None,
    ) -> TabularDataset:
        """Read Parquet files with the same columns, one after the other.

        Parameters
        ----------
        path : str, Path, or sequence of them
            Files or http(s) URLs.
        validate : bool
            Files are always read in full and checked, whatever is given here.
        include_path : bool
            Add the name of each row's file, as the first column ``Path``.
        set_column_types, partition_format : None
            Not supported: Parquet has types.

        Raises
        ------
        DataError
            A file is missing, damaged or no Parquet, or a column has a type that cannot be stored.
        UserErrorException
            An argument is wrong or not supported.
        """
        from nbhelpers.local.files import store_parquet

        sources = _sources(path)
        _refuse("partition_format", partition_format)
        _refuse("set_column_types", set_column_types)
        check_flags({"include_path": include_path})
        store = open_store()
        table = store_parquet(sources, store, include_path=include_path)
        return unregistered(store, table, _shown(sources), ["GetFiles", "ReadParquetFile"])

    @staticmethod
    def from_pandas_dataframe(dataframe: pd.DataFrame) -> TabularDataset:
        """A data set of a data frame, without its index (not in the SDK).

        Column names become text; categories become the values they stand for; times with a zone become UTC.

        Raises
        ------
        DataError
            A column mixes types, or has a type that cannot be stored.
        """
        return _of_frame(dataframe, open_store())

    @staticmethod
    def register_pandas_dataframe(
        dataframe: pd.DataFrame,
        target: Any,
        name: str,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        show_progress: bool = True,
    ) -> TabularDataset:
        """Register a data frame, without its index; a new version if the name is taken.

        Parameters
        ----------
        dataframe : DataFrame
            See `from_pandas_dataframe`.
        target : Datastore, or tuple of Datastore and str
            As in the SDK. Only the datastore's workspace matters here; tables are kept by their content.
        name, description, tags
            See `TabularDataset.register`.
        show_progress : bool
            Print what is done.

        Raises
        ------
        DataError
            A column mixes types, or has a type that cannot be stored.
        UserErrorException
            An argument is wrong.
        """

        def say(line: str) -> None:
            if show_progress:
                print(line)

        say("Validating arguments.")
        workspace = getattr(target[0] if isinstance(target, tuple) and target else target, "workspace", None)
        if workspace is None:
            raise UserErrorException(
                f"target={target!r} is not a datastore.", "Give workspace.get_default_datastore(), or a tuple with it."
            )
        check_registration(workspace, name, description, tags)
        say("Arguments validated.")
        dataset = _of_frame(dataframe, workspace.store)
        say("Creating and registering a new dataset.")
        registered = dataset.register(workspace, name, description, tags, create_new_version=True)
        say("Successfully created and registered a new dataset.")
        return registered


class Dataset:
    """Where data sets come from: `Dataset.Tabular` reads them, the other methods look registered ones up."""

    Tabular = TabularDatasetFactory

    @staticmethod
    def get_by_name(workspace: Workspace, name: str, version: int | str = "latest") -> TabularDataset:
        """A registered data set.

        Parameters
        ----------
        workspace : Workspace
        name : str
        version : int or "latest"

        Raises
        ------
        UserErrorException
            There is no such name or version.
        """
        check_registration(workspace, name, None, None)
        rows = workspace.store.all(
            sa.select(datasets).where(datasets.c.name == name).order_by(datasets.c.version.desc())
        )
        if not rows:
            names = list(Dataset.get_all(workspace))
            near = nearest(name, names)
            raise UserErrorException(
                f"No data set {name!r} is registered in the workspace; there are: {', '.join(names) or 'none yet'}.",
                f"Name {near!r} instead." if near else "Register it first, with the notebook 02_data.ipynb.",
            )
        if version == "latest":
            return of_row(workspace, rows[0])
        found = [row for row in rows if str(row["version"]) == str(version)]
        if not found:
            versions = ", ".join(str(row["version"]) for row in reversed(rows))
            raise UserErrorException(
                f"The data set {name!r} has no version {version!r}; it has: {versions}.",
                "Give one of these numbers, or 'latest'.",
            )
        return of_row(workspace, found[0])

    @staticmethod
    def get_by_id(workspace: Workspace, id: str) -> TabularDataset:
        """The registered data set with an id.

        Raises
        ------
        UserErrorException
            There is none.
        """
        row = workspace.store.one(sa.select(datasets).where(datasets.c.id == str(id)))
        if row is None:
            raise UserErrorException(
                f"No data set with the id {id!r} is registered in the workspace.",
                "Look it up by name, with Dataset.get_by_name.",
            )
        return of_row(workspace, row)

    @staticmethod
    def get_all(workspace: Workspace) -> Mapping[str, TabularDataset]:
        """The registered data sets by name, each in its latest version; looked up afresh at each use."""
        names = sa.select(datasets.c.name).distinct().order_by(datasets.c.name)
        return NameMapping(
            "data set",
            lambda: [row["name"] for row in workspace.store.all(names)],
            lambda name: Dataset.get_by_name(workspace, name),
        )

    @staticmethod
    def from_digest(workspace: Workspace, digest: str) -> TabularDataset:
        """The stored table with a digest, such as a run has recorded it (not in the SDK).

        Raises
        ------
        DataError
            It is no longer in the data folder.
        """
        from nbhelpers.local.files import stored_path

        path = stored_path(workspace.store, digest)
        return unregistered(workspace.store, digest, [path.name])


def _of_frame(dataframe: Any, store: Any) -> TabularDataset:
    import pandas as pd

    from nbhelpers.local.files import store_frame

    if not isinstance(dataframe, pd.DataFrame):
        raise UserErrorException(
            f"A {type(dataframe).__name__} is not a pandas DataFrame.", "Give a DataFrame with one row per example."
        )
    return unregistered(store, store_frame(dataframe, store), ["DataFrame"])


def _sources(path: Any) -> list[str | Path]:
    several = isinstance(path, (list, tuple))
    sources = list(path) if several else [path]
    if not sources or not all(isinstance(source, (str, Path)) and str(source) for source in sources):
        raise UserErrorException(
            f"path={path!r} is not the path or URL of a file, or a list of them.",
            "Give paths of local files, or http(s) URLs; a datastore and a path in it are for the Azure backend only.",
        )
    return sources


def _shown(sources: list[str | Path]) -> list[str]:
    from nbhelpers.local.sources import display_name

    return [display_name(source) for source in sources]


def _refuse(argument: str, value: object) -> None:
    if value is not None:
        raise UserErrorException(
            f"{argument}={value!r} is not supported by the local backend.", f"Leave {argument} out."
        )
