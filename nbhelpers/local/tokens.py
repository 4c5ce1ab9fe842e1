"""Tokens for the service: who has one may do what its scopes say, until it expires.

A token is ``nbh_<id>_<secret>``. The store keeps the SHA-256 of the secret only: it is 32 random bytes, which nobody
can guess from their digest, so that no slow hash is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from nbhelpers.errors import AuthenticationException, NotFoundError, PermissionException, UserErrorException
from nbhelpers.local.store import Store, now, tokens

#: What a token can be for: start, cancel and publish; look at runs and pipelines; use a web service's model.
SCOPES = ("submit", "read", "score")
LONGEST = timedelta(days=365)

_FORM = re.compile(r"nbh_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_MAKE_ONE = (
    "send the header that InteractiveLoginAuthentication().get_authentication_header() gives, or make a token with "
    "`nbhelpers token create`"
)


@dataclass(frozen=True)
class Token:
    """What is known of a token; not its secret.

    Attributes
    ----------
    id, name : str
    scopes : tuple of str
        Out of `SCOPES`.
    created, expires : datetime
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    created: datetime
    expires: datetime


def create_token(store: Store, name: str, scopes: Collection[str], lifetime: timedelta) -> str:
    """Make a token; the text is given here once and never again.

    Parameters
    ----------
    store : Store
    name : str
        What it is for, to tell it from others.
    scopes : collection of str
        Out of `SCOPES`, at least one.
    lifetime : timedelta
        Above zero and at most `LONGEST`.

    Raises
    ------
    UserErrorException
        An argument is wrong.
    """
    if not isinstance(name, str) or not 0 < len(name) <= 255 or not name.isprintable():
        raise UserErrorException(f"{name!r} cannot be the name of a token.", "use 1 to 255 printable characters")
    if isinstance(scopes, str) or not scopes or not all(scope in SCOPES for scope in scopes):
        raise UserErrorException(f"scopes={scopes!r} are not scopes.", f"list one or more of {', '.join(SCOPES)}")
    if not timedelta(0) < lifetime <= LONGEST:
        raise UserErrorException(
            f"A token cannot live for {lifetime}.", f"give a time above zero and at most {LONGEST.days} days"
        )
    token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    row = {
        "id": token_id,
        "digest": _digest(secret),
        "name": name,
        "scopes": [scope for scope in SCOPES if scope in scopes],
        "created": now(),
        "expires": (datetime.now(UTC) + lifetime).isoformat(),
    }
    with store.writing() as connection:
        remove_expired(connection)
        connection.execute(tokens.insert().values(row))
    return f"nbh_{token_id}_{secret}"


def check_token(store: Store, text: str | None, scope: str) -> Token:
    """The token that a text is, if it is valid for a scope.

    Raises
    ------
    AuthenticationException
        It is none, or one that was never made, was revoked or has expired.
    PermissionException
        It is a token for other scopes.
    """
    if not text:
        raise AuthenticationException("The request has no token.", _MAKE_ONE)
    form = _FORM.fullmatch(text)
    row = store.one(sa.select(tokens).where(tokens.c.id == form[1])) if form else None
    if form is None or row is None or not hmac.compare_digest(_digest(form[2]), row["digest"]):
        # Which of the three it is helps nobody but an attacker.
        raise AuthenticationException("The token is not one of this workspace, or was revoked.", _MAKE_ONE)
    token = _of_row(row)
    if token.expires <= datetime.now(UTC):
        raise AuthenticationException(f"The token {token.id} expired at {token.expires:%Y-%m-%d %H:%M:%SZ}.", _MAKE_ONE)
    if scope not in token.scopes:
        raise PermissionException(
            f"The token {token.id} is for {', '.join(token.scopes)}, not for {scope}.",
            f"use a token with the scope {scope}: nbhelpers token create --help",
        )
    return token


def list_tokens(store: Store) -> list[Token]:
    """The tokens, newest first; those that have expired are among them until the next one is made."""
    return [_of_row(row) for row in store.all(sa.select(tokens).order_by(tokens.c.created.desc()))]


def revoke_token(store: Store, token_id: str) -> None:
    """End a token at once.

    Raises
    ------
    NotFoundError
        There is no token of this id.
    """
    with store.writing() as connection:
        mine = tokens.delete().where(tokens.c.id == token_id)
        if not token_id.isascii() or not connection.execute(mine).rowcount:
            raise NotFoundError(f"There is no token {token_id!r}.", "take an id of `nbhelpers token list`")


def remove_expired(connection: sa.Connection) -> None:
    """Forget the tokens that have expired."""
    connection.execute(tokens.delete().where(tokens.c.expires <= now()))


def _of_row(row: sa.RowMapping) -> Token:
    created, expires = (datetime.fromisoformat(row[column]) for column in ("created", "expires"))
    return Token(row["id"], row["name"], tuple(row["scopes"]), created, expires)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
