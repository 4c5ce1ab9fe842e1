"""One notebook, executed by papermill."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from nbhelpers.batch.failure import Failure, ended_early, log_of

START_TIMEOUT = 120  # seconds for a kernel to start; a busy machine takes a while
_KERNEL_ENVIRONMENT = {
    "NBHELPERS_CANCEL_ON_INTERRUPT": "1",  # nobody is left to wait for a run when a batch is stopped
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the kernel prints a warning of the debugger
}
#: Lets Python write the stack of a crash to the kernel's log. PYTHONFAULTHANDLER would write it to file descriptor 2,
#: which ipykernel has replaced by a pipe that it reads itself: what a crash leaves there is lost with the process.
_LOG_CRASHES = "__import__('faulthandler').enable(open(__import__('os').environ['NBHELPERS_KERNEL_LOG'], 'a'))"
#: After Ctrl-C a cell has this many seconds to clean up (such as cancelling the run that it waits for).
GRACE = 15


class Interruption:
    """Passes Ctrl-C and SIGTERM on to the running kernel, and remembers that they came.

    The cell that is running sees a KeyboardInterrupt, as it would in JupyterLab, and can clean up; its traceback is
    kept in the executed notebook. A second signal, or `GRACE` seconds, end the kernel. While no kernel is running
    the signal is an ordinary KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.requested = False
        self._kernel: int | None = None
        self._timer: threading.Timer | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():  # signals reach no other
            self._previous = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def watch(self, kernel: int) -> None:
        """Pass signals on to this process group from now on."""
        self._kernel = kernel

    def release(self) -> None:
        """The kernel has ended."""
        self._kernel = None
        if self._timer:
            self._timer.cancel()

    def check(self, **_hook: object) -> None:
        """Before each cell: start no more of them, should one have swallowed the interrupt."""
        if self.requested:
            raise InterruptedError("interrupted between two cells")

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        again, self.requested = self.requested, True
        if self._kernel is None:
            raise KeyboardInterrupt
        if again:
            self._send(signal.SIGKILL)
        else:
            self._send(signal.SIGINT)
            self._timer = threading.Timer(GRACE, self._send, [signal.SIGKILL])
            self._timer.daemon = True
            self._timer.start()

    def _send(self, number: int) -> None:
        if self._kernel is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._kernel, number)


def execute(
    source: Path,
    target: Path,
    values: dict[str, Any],
    *,
    interruption: Interruption,
    execution_timeout: int | None = None,
) -> Failure | None:
    """Execute a notebook in a kernel of its own, in the folder of the notebook.

    What native code and the interpreter write past the notebook goes to a log beside the executed notebook. The log
    is kept only after a failure: in a notebook that ran to its end, what is left there (warnings of libraries, which
    the notebook shows too, or words about the kernel's shutdown) explains nothing.

    Parameters
    ----------
    source : Path
        The notebook; it is only read.
    target : Path
        Where the executed notebook goes; papermill writes it after each cell.
    values : dict
        Its parameters.
    interruption : Interruption
        Told of the kernel.
    execution_timeout : int, optional
        Seconds that a cell may take.

    Returns
    -------
    Failure or None
        Why it did not run to its end; None if it did.
    """
    log = log_of(target)
    log.unlink(missing_ok=True)  # of an earlier attempt
    failure = None
    try:
        with log.open("ab") as output:
            failure = _execute(source, target, values, interruption, execution_timeout, output)
        if failure and log.stat().st_size and not interruption.requested:
            failure = replace(failure, log=log.name)
        return failure
    finally:
        interruption.release()
        if not (failure and failure.log):
            log.unlink(missing_ok=True)


def _execute(
    source: Path,
    target: Path,
    values: dict[str, Any],
    interruption: Interruption,
    execution_timeout: int | None,
    output: BinaryIO,
) -> Failure | None:
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # this environment's kernel, not a user's of the same name
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_client.provisioning.local_provisioner import LocalProvisioner
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    class Kernel(AsyncKernelManager):
        """Has environment and output of its own, and says which process group it has started: nbclient offers none."""

        async def _async_pre_start_kernel(self, **kwargs: Any) -> Any:
            environment = os.environ | _KERNEL_ENVIRONMENT | {"NBHELPERS_KERNEL_LOG": output.name}
            if home := os.environ.get("NBHELPERS_HOME"):  # relative to this process's folder, not the notebook's
                environment["NBHELPERS_HOME"] = str(Path(home).expanduser().absolute())
            return await super()._async_pre_start_kernel(
                **kwargs, env=environment, stdout=output, stderr=subprocess.STDOUT
            )

        async def _async_post_start_kernel(self, **kwargs: Any) -> None:
            await super()._async_post_start_kernel(**kwargs)
            if isinstance(self.provisioner, LocalProvisioner) and self.provisioner.pgid:
                interruption.watch(self.provisioner.pgid)

    # papermill warns of parameters that its own reader cannot see (`x: int | None = None`); ours are checked already.
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    started = False

    def on_notebook_start(**_hook: object) -> None:
        nonlocal started
        started = True

    def run() -> None:
        papermill.execute_notebook(
            _verbatim(source),
            _verbatim(target),
            values,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            start_timeout=START_TIMEOUT,
            execution_timeout=execution_timeout,
            # Not papermill's cwd, which would change the folder of this process, too.
            resources={"metadata": {"path": str(source.parent)}},
            # Below it, kernels warn of plain TCP, and report the interrupt with which each of them is ended.
            extra_arguments=["--log-level=CRITICAL", f"--IPKernelApp.code_to_run={_LOG_CRASHES}"],
            kernel_manager_class=Kernel,
            on_notebook_start=on_notebook_start,
            on_cell_start=interruption.check,
            iopub_timeout=60,
        )

    try:
        try:
            run()
        except RuntimeError:
            if started or interruption.requested:
                raise
            run()  # two kernels that start at once can be given the same port; no cell has run yet
        return Failure.from_exit(target) if ended_early(target) else None
    except papermill.PapermillExecutionError as error:
        return Failure.from_error(target, error.cell_index, error.ename, error.evalue)
    except CellTimeoutError:
        return Failure.from_timeout(target, execution_timeout)
    except DeadKernelError:
        return Failure.from_dead_kernel(target)
    except (NoSuchKernel, RuntimeError, TimeoutError, InterruptedError) as error:
        return Failure.from_start(error)


def _verbatim(path: Path) -> str:
    """A path in which papermill replaces nothing: it takes braces for the names of parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")
