"""Outputs of a pipeline run, as files to download."""

from __future__ import annotations

from pathlib import Path

from nbhelpers.errors import StoreError, UserErrorException
from nbhelpers.local.arguments import check_flags, path_of
from nbhelpers.local.store import write_atomically


class PortDataReference:
    """One output of a pipeline run; get it with `PipelineRun.get_pipeline_output`.

    Attributes
    ----------
    path_on_datastore : str
        ``azureml/<step run id>/<name of the PipelineData>``; `download` keeps this path below its folder.
    """

    def __init__(self, source: Path, path_on_datastore: str) -> None:
        self._source = source
        self.path_on_datastore = path_on_datastore

    @property
    def _path_on_datastore(self) -> str:
        return self.path_on_datastore

    def download(self, local_path: str | Path, overwrite: bool | None = None, show_progress: bool | None = None) -> int:
        """Copy the output below a folder.

        Parameters
        ----------
        local_path : str or Path
            The folder, made if need be; the file lands in it at `path_on_datastore`.
        overwrite : bool, optional
            Replace a file that is already there; by default it is kept.
        show_progress : bool, optional
            False prints nothing.

        Returns
        -------
        int
            Number of files that were written: 0 where the file was kept.

        Raises
        ------
        UserErrorException
            The run has not made the output (yet), or the folder cannot be written to.
        """
        flags = {"overwrite": overwrite, "show_progress": show_progress}
        check_flags({name: flag for name, flag in flags.items() if flag is not None})
        if not self._source.is_file():
            raise UserErrorException(
                f"The output {self.path_on_datastore} is not there: its run has not finished, or was cleaned away.",
                "wait with pipeline_run.wait_for_completion(); if it failed, go on with pipeline_run.continue_run()",
            )
        say = print if show_progress is not False else _silent
        target = path_of("local_path", local_path) / self.path_on_datastore
        if not overwrite and target.is_file():
            say(f"Path already exists. Skipping download for {target}")
            return 0
        say(f"Downloading {self.path_on_datastore}")
        copy_out(self._source, target)
        say(f"Downloaded {self.path_on_datastore}, 1 files out of an estimated total of 1")
        return 1

    def __repr__(self) -> str:
        return f"PortDataReference({self.path_on_datastore!r})"


def copy_out(source: Path, target: Path) -> None:
    """Copy a file of a run to where the user wants it, whole or not at all.

    Raises
    ------
    UserErrorException
        It cannot be written there.
    """
    try:
        write_atomically(target, source.read_bytes())
    except (StoreError, OSError, ValueError) as error:  # ValueError: a NUL in the path
        cause = error.__cause__ or error
        raise UserErrorException(
            f"The file cannot be written to {target}: {getattr(cause, 'strerror', None) or cause}.",
            "give a folder that you may write to, on a disk with room",
        ) from error


def _silent(*_values: object) -> None:
    """Print nothing."""
