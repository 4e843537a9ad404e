r"""The hash chain of a partition's contact log: nothing in it can be altered, removed, inserted or moved unseen.

    hash = SHA-256(canonical bytes of the entry)

The canonical bytes are UTF-8: one JSON array without spaces, a line feed, and the text of `trail` as it stands (it is
JSON already; escaping it once more would cost half of all the time spent here). The array holds every column of
`stores.contract.LogRow` in order, but for `trail` and `hash`: instants are whole microseconds since 1970 (0 where there
is none), and `prev_hash`, the last element, is the hash of the entry before in lower-case hex (64 zeros before the
first). In text only `"`, `\` and the control characters below U+0020 are escaped, as
`json.dumps(columns, ensure_ascii=False, separators=(",", ":"))` does it: whoever wants to check a chain needs nothing
of ours.

Entries of a partition are numbered from 1 without a gap. All functions here are pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from orchestrator.decide.result import Entry
from orchestrator.stores.contract import LogRow
from orchestrator.times import micros

# what stands before the first entry
GENESIS = bytes(32)

_encode = msgspec.json.Encoder().encode
_row = LogRow._make


def canonical(row: LogRow) -> bytes:
    """The bytes that are hashed for this entry; its own `hash` plays no part."""
    return b"%b\n%b" % (_encode((*row[:-3], row.prev_hash.hex())), row.trail.encode())


def link(row: LogRow) -> bytes:
    """The hash that this entry must have, 32 bytes."""
    return sha256(canonical(row)).digest()


def append(
    partition: int,
    n: int,
    head: bytes,
    turn: int,
    at: int,
    ref: str,
    revision: str,
    entries: Sequence[Entry],
) -> tuple[list[LogRow], int, bytes]:
    """The log rows of one turn's entries, then the number and hash of the last entry of the partition.

    `n` and `head` are those of the last entry so far (0 and `GENESIS` at the start), `at` the turn's now in
    microseconds, `ref` the member's reference or "". No entries: no rows, and `n` and `head` as they were.
    """
    rows: list[LogRow] = []
    for entry in entries:
        n += 1
        occurred_at, valid_until, release_at = entry.occurred_at, entry.valid_until, entry.release_at
        # the columns in LogRow's order; spelled out once, since this runs for every event
        fields = (
            partition,
            n,
            turn,
            at,
            0 if occurred_at is None else micros(occurred_at),
            0 if valid_until is None else micros(valid_until),
            entry.kind,
            ref,
            entry.journey,
            entry.step,
            entry.occurrence,
            entry.intent_id,
            entry.touch_id,
            entry.channel,
            entry.purpose,
            entry.verdict,
            entry.reason,
            0 if release_at is None else micros(release_at),
            entry.state,
            revision,
        )
        previous, trail = head, entry.trail
        head = sha256(b"%b\n%b" % (_encode((*fields, previous.hex())), trail.encode())).digest()
        rows.append(_row((*fields, trail, previous, head)))
    return rows, n, head
