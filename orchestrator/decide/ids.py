"""Ids that can't be guessed and come out the same each time: keyed hashes in the form of UUIDv8 (RFC 9562)."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b


def keyed_uuid(key: bytes, *parts: str) -> str:
    """A UUIDv8 over these parts; `key` is 16 to 64 secret bytes. Parts may hold any text: each is told apart."""
    digest = _keyed(key, 16, "\x1f".join(parts)).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:]}"


def intent_id(key: bytes, member: str, journey: str, step: str, occurrence: str) -> str:
    """The id of (member, journey, step, occurrence)."""
    return keyed_uuid(key, "intent", member, journey, step, occurrence)


def touch_id(key: bytes, intent: str, channel: str) -> str:
    """The id of an intent on a channel: an intent decided anew never has two live touches there."""
    return keyed_uuid(key, "touch", intent, channel)


def occurrence_of(key: bytes, source: str, id: str) -> str:
    """16 hex digits for one event: the log names occurrences without repeating ids that may be personal."""
    return _keyed(key, 8, f"{source}\0{id}").hexdigest()


def draw(key: bytes, n: int, *parts: str) -> int:
    """A number from 0 to n-1 that stays with these parts, each as likely as the others; `n` is at most 2**32."""
    return int.from_bytes(_keyed(key, 16, "\x1f".join(parts)).digest()) * n >> 128


def _keyed(key: bytes, size: int, text: str) -> blake2b:
    state = _begun(key, size).copy()
    state.update(text.encode())
    return state


@lru_cache(maxsize=16)
def _begun(key: bytes, size: int) -> blake2b:
    """A hash that has read its key: half of the work for a short text. Only ever copied."""
    return blake2b(digest_size=size, key=key)
