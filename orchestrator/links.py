"""Links for members: tokens that name the member and what they are for, and nobody else could have made.

    /u/TOKEN   ends one purpose on one channel: it never expires (RFC 8058)
    /p/TOKEN   the member's own preferences, for a while from the day that the message was made
    /c/TOKEN   confirms one double opt-in, or one contact point, that which was asked for at one moment

A token is read without a look-up: what it names stands in it, the member by the keyed hash that the store knows them
by, which says nothing to whoever has not the key file. A table of tokens would cost a row for each message, and would
have to be kept as long as somebody may still open an old mail. The one to leave is 36 characters, so that no mail
header folds it under a host of up to 27. A member who was erased and joins again has the same hash: old mails still
let them leave.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Literal, get_args

from msgspec import Struct

from orchestrator.events.types import Channel, Purpose
from orchestrator.vault import Vault

_CHANNELS: tuple[Channel, ...] = get_args(Channel)
_PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
_MEMBER = 16
# bytes of a moment, in seconds
_MOMENT = 5
_EPOCH = date(1970, 1, 1)
_CONSENT: Literal["consent", "contact"] = "consent"
_CONTACT: Literal["consent", "contact"] = "contact"


class OptOut(Struct, frozen=True):
    """What a link to leave is about."""

    member: bytes
    channel: Channel
    purpose: Purpose


class Own(Struct, frozen=True):
    """Whose preferences a link opens, and the day in UTC that it was made."""

    member: bytes
    day: date


class Confirming(Struct, frozen=True):
    """What a link confirms, on a channel: what was asked for at `asked_at`, before `until`, both to the second."""

    member: bytes
    channel: Channel
    purpose: Purpose
    asked_at: datetime
    until: datetime
    # the consent to the purpose, or the contact point that the member wants
    what: Literal["consent", "contact"] = "consent"


class Links:
    """Makes the links that messages hold, with one key file; the same for the same arguments."""

    __slots__ = ("_vault",)

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def opt_out(self, member_id: str, channel: str, purpose: str) -> str:
        """The token that ends this purpose on this channel."""
        return opt_out_token(self._vault, member_id, channel, purpose)

    def preferences(self, member_id: str, at: datetime) -> str:
        """The token that opens the member's preferences; `at` (aware) is when it was made."""
        return preferences_token(self._vault, member_id, at)

    def confirm(self, member_id: str, channel: str, purpose: str, asked_at: datetime, until: datetime) -> str:
        """The token that confirms the double opt-in asked for at `asked_at`, before `until` (both aware)."""
        return self._confirming("confirm", member_id, _stream(channel, purpose), asked_at, until)

    def contact(self, member_id: str, channel: str, asked_at: datetime, until: datetime) -> str:
        """The token that confirms the contact point asked for at `asked_at`, before `until` (both aware)."""
        return self._confirming("contact", member_id, _stream(channel, "service"), asked_at, until)

    def _confirming(self, kind: str, member_id: str, stream: bytes, asked_at: datetime, until: datetime) -> str:
        moments = b"".join(int(at.timestamp()).to_bytes(_MOMENT, "big") for at in (asked_at, until))
        return self._vault.token(kind, self._vault.member(member_id) + stream + moments)


def opt_out_token(vault: Vault, member_id: str, channel: str, purpose: str) -> str:
    """The token that ends this purpose on this channel; the same each time."""
    return vault.token("opt-out", vault.member(member_id) + _stream(channel, purpose))


def preferences_token(vault: Vault, member_id: str, at: datetime) -> str:
    """The token that opens the member's preferences, the same all day; `at` is aware."""
    day = (at.astimezone(UTC).date() - _EPOCH).days
    return vault.token("preferences", vault.member(member_id) + day.to_bytes(3, "big"))


def read_opt_out(vault: Vault, token: str) -> OptOut | None:
    """What such a token names; None for any other text."""
    body = vault.body_of("opt-out", token)
    stream = _read_stream(body[_MEMBER:]) if body is not None else None
    return None if body is None or stream is None else OptOut(body[:_MEMBER], *stream)


def read_preferences(vault: Vault, token: str) -> Own | None:
    """What such a token names; None for any other text. Whether it is too old is the caller's to say."""
    body = vault.body_of("preferences", token)
    if body is None or len(body) != _MEMBER + 3:
        return None
    return Own(body[:_MEMBER], _EPOCH + timedelta(days=int.from_bytes(body[_MEMBER:], "big")))


def read_confirming(vault: Vault, token: str) -> Confirming | None:
    """What such a token names; None for any other text."""
    body, what = vault.body_of("confirm", token), _CONSENT
    if body is None:
        body, what = vault.body_of("contact", token), _CONTACT
    stream = _read_stream(body[_MEMBER : _MEMBER + 1]) if body is not None else None
    if body is None or stream is None or len(body) != _MEMBER + 1 + 2 * _MOMENT:
        return None
    asked_at, until = (
        datetime.fromtimestamp(int.from_bytes(part, "big"), UTC)
        for part in (body[-2 * _MOMENT : -_MOMENT], body[-_MOMENT:])
    )
    return Confirming(body[:_MEMBER], *stream, asked_at, until, what)


def _stream(channel: str, purpose: str) -> bytes:
    return bytes([_CHANNELS.index(channel) << 4 | _PURPOSES.index(purpose)])


def _read_stream(body: bytes) -> tuple[Channel, Purpose] | None:
    if len(body) != 1 or body[0] >> 4 >= len(_CHANNELS) or body[0] & 15 >= len(_PURPOSES):
        return None
    return _CHANNELS[body[0] >> 4], _PURPOSES[body[0] & 15]
