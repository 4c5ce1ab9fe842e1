"""`serving`: a program has the service of its workspace for as long as it needs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
from filelock import ReadWriteLock

from nbhelpers.errors import StoreError, UserErrorException
from nbhelpers.local.endpoints import workspace_id
from nbhelpers.local.store import Store
from nbhelpers.local.workspace import Workspace
from nbhelpers.service.server import log_file, record_file, users_file

#: Seconds after which a service that was started should answer.
START = 60
#: Bytes above which the log of earlier services is dropped when another one is started.
MOST_LOG = 10_000_000


@contextmanager
def serving(workspace: Any) -> Iterator[str | None]:
    """Have the service of a workspace running for the length of a `with` block.

    A service that is running is used and left running. Else one is started, which ends with the block, or with this
    process if that ends first; several programs may share it.

    Parameters
    ----------
    workspace : Workspace
        With a workspace of Azure nothing is done: Azure serves it.

    Yields
    ------
    str or None
        The URL of the service; None for Azure.

    Raises
    ------
    StoreError
        The service did not start; the end of its log is in the message.
    UserErrorException
        It is not a workspace.
    """
    if not hasattr(workspace, "subscription_id"):  # which workspaces of both kinds have
        raise UserErrorException(f"{workspace!r} is not a workspace.", "give the result of Workspace.from_config()")
    if not isinstance(workspace, Workspace):
        yield None
        return
    store = workspace.store
    child = None
    try:
        # While this is held, a service that another program started does not end.
        with ReadWriteLock(users_file(store)).read_lock():
            deadline = time.monotonic() + START
            while (url := _healthy(store)) is None:
                failed = child is not None and child.poll() not in (None, 0)
                if failed or time.monotonic() > deadline:
                    raise _no_answer(store, failed)
                if child is None or child.poll() == 0:  # 0: there was another one, which will answer or is ending
                    _let_go(child)
                    child = _start(store)
                time.sleep(0.1)
            yield url
    finally:
        _let_go(child)
        with suppress(subprocess.TimeoutExpired):  # another program uses it
            if child is not None:
                child.wait(5)


def _start(store: Store) -> subprocess.Popen[bytes]:
    log = log_file(store)
    log.touch(mode=0o600)
    with log.open("ab" if log.stat().st_size < MOST_LOG else "wb") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "nbhelpers.service"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for the program that uses it
            cwd=store.home,
            env=os.environ | {"NBHELPERS_HOME": str(store.home)},
        )


def _let_go(child: subprocess.Popen[bytes] | None) -> None:
    """Tell a service that was started to end when nobody uses it."""
    if child is not None and child.stdin is not None:
        child.stdin.close()


def _no_answer(store: Store, failed: bool) -> StoreError:
    tail = "\n".join(log_file(store).read_text(errors="replace").splitlines()[-10:])
    return StoreError(
        f"The service of the workspace did not {'start' if failed else f'answer within {START} s'}. "
        f"Its log {log_file(store)} ends with:\n{tail}",
        "see what the log says, or start it by hand: nbhelpers serve",
    )


def _healthy(store: Store) -> str | None:
    """The URL of the service of a workspace if it answers."""
    try:
        url = str(json.loads(record_file(store).read_bytes())["url"])
        # Nothing secret is sent, so that a certificate that only its clients know does no harm.
        answer = httpx.get(f"{url}/healthz", timeout=5, trust_env=False, verify=False)  # noqa: S501
        return url if answer.json()["workspace"] == workspace_id(store) else None
    except (OSError, ValueError, KeyError, TypeError, httpx.HTTPError, httpx.InvalidURL):
        return None
