"""API keys: who may call, and what for. Settings hold a hash; the key itself is shown once, when it is made.

A key is 32 random bytes, so that a plain SHA-256 of it can't be turned back; a slow hash would protect nothing more.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from typing import Literal, get_args

from msgspec import Struct

from orchestrator.errors import SetupError, UsageError

# events: send events; links: have links made for members; status: see what waits
Role = Literal["events", "links", "status"]
ROLES: tuple[Role, ...] = get_args(Role)
_LINE = re.compile(r"(?P<name>[A-Za-z0-9_.-]{1,64}) (?P<roles>[a-z]+(?:,[a-z]+)*) (?P<hash>[0-9a-f]{64})")
_PREFIX = "ok_"


class Caller(Struct, frozen=True, kw_only=True):
    """Whose key it is."""

    name: str
    roles: frozenset[str]


class NewKey(Struct, frozen=True, kw_only=True):
    """A key that was made; nobody can show it again."""

    key: str
    # the line for `[serve] api_keys`
    line: str


class Keys:
    """The keys of the settings."""

    def __init__(self, lines: Sequence[str]) -> None:
        """Raises SetupError for a line that is none."""
        self._known = [_read(line) for line in lines]

    def caller(self, authorization: str) -> Caller | None:
        """Whose key an `Authorization: Bearer …` header holds; None for nobody's.

        Every known hash is compared, each in constant time: how long it takes says nothing of which is near.
        """
        scheme, _, key = authorization.partition(" ")
        told = _hash(key.strip())
        found = None
        for hashed, caller in self._known:
            if hmac.compare_digest(hashed, told):
                found = caller
        return found if scheme.lower() == "bearer" and key.strip() else None


def new_key(name: str, roles: Sequence[str]) -> NewKey:
    """A new key; raises UsageError for a name or role that can't stand in the settings."""
    if unknown := sorted(set(roles) - set(ROLES)):
        raise UsageError(f"there is no role {', '.join(unknown)}; known are {', '.join(ROLES)}")
    key = _PREFIX + secrets.token_urlsafe(32)
    line = f"{name} {','.join(dict.fromkeys(roles))} {_hash(key)}"
    if not _LINE.fullmatch(line):
        raise UsageError(f"{name!r} can't name a key: use letters, digits, dot, dash and underline, and name a role")
    return NewKey(key=key, line=line)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _read(line: str) -> tuple[str, Caller]:
    match = _LINE.fullmatch(line)
    roles = frozenset(match["roles"].split(",")) if match else frozenset()
    if match is None or roles - set(ROLES):
        # the line is not quoted: somebody may have put the key itself there
        raise SetupError(
            "[serve] api_keys: a line is no `name roles hash`; make one with: orchestrator serve --new-key NAME"
        )
    return match["hash"], Caller(name=match["name"], roles=roles)
