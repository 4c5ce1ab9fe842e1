from __future__ import annotations

import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from nbhelpers.errors import UserErrorException
from nbhelpers.local import Workspace
from nbhelpers.local.endpoints import FIRST_PORT, service_port, service_url, set_service_port, workspace_id
from nbhelpers.local.store import open_store


def test_a_workspace_has_one_id_and_others_have_others(workspace: Workspace, tmp_path: Path) -> None:
    first = workspace_id(workspace.store)
    assert str(uuid.UUID(first)) == first == workspace_id(workspace.store)
    assert workspace_id(open_store(tmp_path / "other")) != first


def test_the_port_is_chosen_once_and_not_one_in_use(workspace: Workspace) -> None:
    store = workspace.store
    with socket.socket() as taken:
        with suppress(OSError):  # something else has it, which is as good
            taken.bind(("127.0.0.1", FIRST_PORT))
        port = service_port(store)
    assert FIRST_PORT < port < 65536
    assert service_port(store) == port
    assert service_url(store) == f"http://127.0.0.1:{port}"
    set_service_port(store, 9000)
    set_service_port(store, 9001)
    assert service_port(store) == 9001


def test_all_who_ask_first_at_once_get_the_same_answer(workspace: Workspace) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda ask: ask(workspace.store), [workspace_id, service_port] * 8))
    assert len(set(answers)) == 2


@pytest.mark.parametrize("port", [0, -1, 65536, True, "9000", 9000.0])
def test_what_is_no_port_is_refused(workspace: Workspace, port: int) -> None:
    with pytest.raises(UserErrorException, match="is not the number of a port"):
        set_service_port(workspace.store, port)
