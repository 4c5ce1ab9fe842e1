from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from nbhelpers.errors import (
    AuthenticationException,
    NotFoundError,
    PermissionException,
    TokenError,
    UserErrorException,
)
from nbhelpers.local import InteractiveLoginAuthentication, Workspace
from nbhelpers.local.store import Store, open_store
from nbhelpers.local.tokens import SCOPES, check_token, create_token, list_tokens, revoke_token

HOUR = timedelta(hours=1)


@pytest.fixture
def store(workspace: Workspace) -> Store:
    return workspace.store


def test_a_token_is_valid_for_its_scopes_only(store: Store) -> None:
    text = create_token(store, "mine", ["score", "read"], HOUR)
    token = check_token(store, text, "read")
    assert (token.name, token.scopes) == ("mine", ("read", "score"))
    assert token.expires - token.created == pytest.approx(HOUR, abs=timedelta(seconds=30))
    assert check_token(store, text, "score") == token
    with pytest.raises(PermissionException, match=f"The token {token.id} is for read, score, not for submit"):
        check_token(store, text, "submit")


@pytest.mark.parametrize("text", [None, ""])
def test_no_token_is_named_with_the_remedy(store: Store, text: str | None) -> None:
    with pytest.raises(AuthenticationException, match=r"has no token.\nTo mend it: .*get_authentication_header"):
        check_token(store, text, "read")


def test_a_token_that_was_tampered_with_or_made_up_is_refused_alike(store: Store) -> None:
    text = create_token(store, "mine", SCOPES, HOUR)
    other = create_token(store, "other", SCOPES, HOUR)
    swapped = "A" if text[-1] != "A" else "B"
    wrong = [
        text[:-1] + swapped,
        text[:-1],
        text + "A",
        text + "\n",
        text.upper(),
        other[:17] + text[17:],  # the id of one with the secret of another
        "nbh_" + "0" * 12 + text[16:],
        "Bearer " + text,
        "\ud800",
        "x" * 100_000,
    ]
    problems = set()
    for attempt in wrong:
        with pytest.raises(AuthenticationException) as caught:
            check_token(store, attempt, "read")
        problems.add(caught.value.problem)
    assert problems == {"The token is not one of this workspace, or was revoked."}


def test_a_token_expires_and_is_forgotten_when_the_next_is_made(store: Store) -> None:
    text = create_token(store, "short", SCOPES, timedelta(microseconds=1))
    with pytest.raises(AuthenticationException, match=r"The token [0-9a-f]{12} expired at 20"):
        check_token(store, text, "read")
    assert [token.name for token in list_tokens(store)] == ["short"]
    create_token(store, "next", SCOPES, HOUR)
    assert [token.name for token in list_tokens(store)] == ["next"]


def test_a_revoked_token_ends_at_once_and_no_other(store: Store) -> None:
    text, other = (create_token(store, name, SCOPES, HOUR) for name in ("mine", "other"))
    revoke_token(store, check_token(store, text, "read").id)
    with pytest.raises(AuthenticationException, match="was revoked"):
        check_token(store, text, "read")
    check_token(store, other, "read")
    with pytest.raises(NotFoundError, match="There is no token 'x'"):
        revoke_token(store, "x")


def test_the_secret_is_in_no_file_of_the_workspace(store: Store) -> None:
    text = create_token(store, "mine", SCOPES, HOUR)
    check_token(store, text, "read")
    token_id, secret = text.removeprefix("nbh_").split("_", 1)
    written = b"".join(path.read_bytes() for path in store.home.rglob("*") if path.is_file())
    assert token_id.encode() in written
    assert secret.encode() not in written


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": ""}, "'' cannot be the name"),
        ({"name": "a\nb"}, "cannot be the name"),
        ({"name": "x" * 256}, "cannot be the name"),
        ({"scopes": []}, r"scopes=\[\] are not scopes"),
        ({"scopes": ["read", "write"]}, "List one or more of submit, read, score"),
        ({"scopes": "read"}, "scopes='read' are not scopes"),
        ({"lifetime": timedelta(0)}, "cannot live for 0:00:00"),
        ({"lifetime": timedelta(days=366)}, "at most 365 days"),
    ],
)
def test_a_token_that_cannot_be_made(store: Store, change: dict[str, object], problem: str) -> None:
    arguments = {"name": "mine", "scopes": ["read"], "lifetime": HOUR} | change
    with pytest.raises(UserErrorException, match=problem):
        create_token(store, **arguments)  # type: ignore[arg-type]
    assert list_tokens(store) == []


def test_the_header_of_the_sdk_has_a_token_for_an_hour_and_does_not_show_it(workspace: Workspace) -> None:
    header = InteractiveLoginAuthentication().get_authentication_header()
    text = re.fullmatch(r"Bearer (nbh_\S+)", header["Authorization"])
    assert text is not None
    token = check_token(open_store(), text[1], "submit")
    assert token.scopes == ("submit", "read")
    assert token.expires - datetime.now(UTC) <= HOUR
    for shown in (repr(header), str(header), f"{header}"):
        assert "nbh_" not in shown
        assert shown == "{'Authorization': 'Bearer <hidden>'}"
    assert isinstance(header, dict)
    assert workspace.store.home == open_store().home


def test_the_errors_are_user_errors_as_in_the_sdk() -> None:
    assert issubclass(AuthenticationException, TokenError)
    assert issubclass(TokenError, UserErrorException)
