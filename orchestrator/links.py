"""Links for members: tokens that name the member and what they are for, and nobody else could have made.

    /u/TOKEN   ends one purpose on one channel: it never expires (RFC 8058)

A token is read without a look-up: what it names stands in it, the member by the keyed hash that the store knows them
by, which says nothing to whoever has not the key file. A table of tokens would cost a row for each message, and would
have to be kept as long as somebody may still open an old mail. It is 36 characters, so that no mail header folds it
under a host of up to 27. A member who was erased and joins again has the same hash: old mails still let
them leave.
"""

from __future__ import annotations

from typing import get_args

from msgspec import Struct

from orchestrator.events.types import Channel, Purpose
from orchestrator.vault import Vault

_CHANNELS: tuple[Channel, ...] = get_args(Channel)
_PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
_MEMBER = 16


class OptOut(Struct, frozen=True):
    """What a link to leave is about."""

    member: bytes
    channel: Channel
    purpose: Purpose


def opt_out_token(vault: Vault, member_id: str, channel: str, purpose: str) -> str:
    """The token that ends this purpose on this channel; the same each time."""
    return vault.token("opt-out", vault.member(member_id) + _stream(channel, purpose))


def read_opt_out(vault: Vault, token: str) -> OptOut | None:
    """What such a token names; None for any other text."""
    body = vault.body_of("opt-out", token)
    stream = _read_stream(body[_MEMBER:]) if body is not None else None
    return None if body is None or stream is None else OptOut(body[:_MEMBER], *stream)


def _stream(channel: str, purpose: str) -> bytes:
    return bytes([_CHANNELS.index(channel) << 4 | _PURPOSES.index(purpose)])


def _read_stream(body: bytes) -> tuple[Channel, Purpose] | None:
    if len(body) != 1 or body[0] >> 4 >= len(_CHANNELS) or body[0] & 15 >= len(_PURPOSES):
        return None
    return _CHANNELS[body[0] >> 4], _PURPOSES[body[0] & 15]
