"""A view of a run to put into a notebook."""

from __future__ import annotations

from nbhelpers.errors import UserErrorException
from nbhelpers.local.runs import PipelineRun
from nbhelpers.local.step_runs import AutoMLRun


class RunDetails:
    """The live view of a pipeline run or AutoML run.

    Parameters
    ----------
    run_instance : PipelineRun or AutoMLRun

    Raises
    ------
    UserErrorException
        `run_instance` is not such a run.
    """

    def __init__(self, run_instance: PipelineRun | AutoMLRun) -> None:
        if not isinstance(run_instance, PipelineRun | AutoMLRun):
            raise UserErrorException(
                f"RunDetails cannot show a {type(run_instance).__name__}.", "pass a PipelineRun or one of its steps"
            )
        self._run = run_instance

    def show(self) -> None:
        """Display the run and return at once; the view is updated until the run has ended.

        `nbhelpers.results.watch` shows the same, and waits for the run. In a terminal the state of the moment is
        printed.
        """
        from nbhelpers.results.live import show

        show(self._run)

    def __repr__(self) -> str:
        from nbhelpers.results.live_frame import as_text
        from nbhelpers.results.live_state import Reader

        return as_text(Reader(self._run).read())

    def _repr_html_(self) -> str:
        from nbhelpers.results.live_frame import as_html
        from nbhelpers.results.live_state import Reader

        return as_html(Reader(self._run).read())
