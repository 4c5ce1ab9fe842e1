"""The commands around the service; tests/service has what the service does."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nbhelpers.errors import AuthenticationException
from nbhelpers.local import Workspace
from nbhelpers.local.store import Store
from nbhelpers.local.tokens import check_token, list_tokens

from ..service.conftest import publish
from .conftest import assert_refused, nbhelpers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve", "--host", "192.0.2.1"], "error: The host '192.0.2.1' can be reached from other machines"),
        (["serve", "--tls-key", "key.pem"], "error: Only one of the TLS files was given."),
        (["serve", "--tls-key", "a", "--tls-certificate", "b"], "error: The TLS files b and a cannot be used: "),
        (["serve", "--port", "http"], "Invalid value for '--port'"),
        (["serve", "--port", "65536"], "Invalid value for '--port'"),
        (["token", "create"], "Missing argument 'NAME'"),
        (["token", "create", ""], "error: '' cannot be the name of a token"),
        (["token", "create", "mine", "--scope", "write"], "error: scopes=['write'] are not scopes."),
        (["token", "create", "mine", "--days", "0"], "error: --days 0 is not above 0 and at most 365."),
        (["token", "create", "mine", "--days", "nan"], "error: --days nan is not above 0 and at most 365."),
        (["token", "create", "mine", "--days", "1e300"], "error: --days 1e+300 is not above 0 and at most 365."),
        (["token", "revoke", "abc"], "error: There is no token 'abc'.\nTo mend it: Take an id of"),
        (["token", "revoke", os.fsdecode(b"\xff")], "error: There is no token "),
        (["token", "steal"], "No such command 'steal'"),
    ],
)
def test_a_mistake_ends_with_code_2_and_one_message(store: Store, arguments: list[str], message: str) -> None:
    assert_refused(nbhelpers(store.home, *arguments), message)
    assert list_tokens(store) == []


@pytest.mark.parametrize("arguments", [["pipelines"], ["token", "list"], ["token", "revoke", "abc"]])
def test_where_there_is_no_workspace_none_is_made(arguments: list[str], home: Path) -> None:
    assert_refused(nbhelpers(home, *arguments), f"error: There is no workspace in {home}.")
    assert not home.exists()


def test_a_token_is_shown_once_and_is_not_in_the_workspace(store: Store) -> None:
    created = nbhelpers(store.home, "token", "create", "my laptop", "--scope", "score", "--days", "2")
    assert (created.returncode, created.stderr) == (0, "")
    text = created.stdout.removesuffix("\n")
    token = check_token(store, text, "score")
    assert (token.name, token.scopes) == ("my laptop", ("score",))
    assert token.expires - token.created == pytest.approx(timedelta(days=2), abs=timedelta(minutes=1))

    listed = nbhelpers(store.home, "token", "list").stdout.splitlines()
    assert [re.split(r" {2,}", line.strip()) for line in listed] == [
        ["Id", "Name", "Scopes", "Created", "Expires"],
        [token.id, "my laptop", "score", f"{token.created:%FT%TZ}", f"{token.expires:%FT%TZ}"],
    ]
    secret = text.split("_", 2)[2].encode()
    files = [path for path in store.home.rglob("*") if path.is_file()]
    assert any(token.id.encode() in path.read_bytes() for path in files)
    assert not any(secret in path.read_bytes() for path in files)


def test_a_token_starts_and_reads_runs_for_a_month_where_nothing_else_is_said(store: Store) -> None:
    text = nbhelpers(store.home, "token", "create", "mine").stdout.strip()
    token = check_token(store, text, "submit")
    assert token.scopes == ("submit", "read")
    assert token.expires - datetime.now(UTC) == pytest.approx(timedelta(days=30), abs=timedelta(hours=1))


def test_a_revoked_token_is_no_longer_valid(store: Store) -> None:
    texts = [nbhelpers(store.home, "token", "create", name).stdout.strip() for name in ("one", "two")]
    token_id = check_token(store, texts[0], "read").id
    revoked = nbhelpers(store.home, "token", "revoke", token_id)
    assert (revoked.stdout, revoked.stderr) == (f"Token {token_id} is no longer valid.\n", "")
    with pytest.raises(AuthenticationException):
        check_token(store, texts[0], "read")
    assert check_token(store, texts[1], "read").name == "two"


def test_tokens_and_pipelines_say_how_to_make_the_first(store: Store) -> None:
    assert nbhelpers(store.home, "token", "list").stdout == "No tokens. To make one: nbhelpers token create NAME\n"
    assert nbhelpers(store.home, "pipelines").stdout.startswith("No pipeline is published. To publish one: ")


def test_pipelines_lists_those_that_are_active_or_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBHELPERS_HOME", str(store.home))
    workspace = Workspace.from_config()
    active, disabled = publish(workspace), publish(workspace)
    disabled.disable()
    header, line = nbhelpers(store.home, "pipelines").stdout.splitlines()
    assert header.split() == ["Id", "Name", "Version", "Status", "Endpoint"]
    assert re.split(r" {2,}", line.strip()) == [active.id, "Bank marketing", "1.0", "Active", active.endpoint]
    everything = nbhelpers(store.home, "pipelines", "--all").stdout.splitlines()[1:]
    assert [line.split()[0] for line in everything] == [disabled.id, active.id]
    assert " Disabled " in everything[0]
