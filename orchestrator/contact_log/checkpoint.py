"""Checkpoints: where every chain stands at one moment, signed, to be kept where the operator can't reach.

A checkpoint is two lines of text. The first is the statement, one JSON object without spaces; the second is
`{"ed25519":"…"}`, the signature over the bytes of the first, in hex. Each statement names the SHA-256 of the statement
before it, so that none can be left out of the row. Whoever holds one can show later that entries were cut off or a
chain was recomputed, without asking us for anything but the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256

import msgspec
from msgspec import Struct

from orchestrator.contact_log.walk import Ends, Faults, Marks, reach, walk
from orchestrator.errors import Tampered
from orchestrator.stores.contract import LogRow, Store
from orchestrator.times import rfc3339
from orchestrator.vault import Vault

KIND = "checkpoint"


class Head(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where one partition stands."""

    partition: int
    # number and hash (hex) of its last log entry; 0 and zeros before the first
    n: int
    hash: str
    # number of its last turn, and arrivals consumed
    turn: int
    arrivals: int


class Checkpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="orchestrator-checkpoint-1"):
    """The statement of one checkpoint; its fields' order is part of its form."""

    # 1 for the first of a store
    number: int
    # RFC 3339 UTC
    at: str
    # log entries of all partitions
    entries: int
    # every partition that was ever taken, by number
    heads: tuple[Head, ...]
    # SHA-256 of the statement before, hex; zeros for the first
    previous: str
    # Ed25519, hex: what signs this statement
    public_key: str

    @property
    def name(self) -> str:
        """Its name in the store and in a bundle; names sort by number."""
        return f"{self.number:08d}"

    @property
    def digest(self) -> str:
        """The SHA-256 of the statement, hex: what the next checkpoint names."""
        return sha256(msgspec.json.encode(self)).hexdigest()

    @property
    def ends(self) -> Ends:
        """Number and hash of each partition's last entry."""
        return {head.partition: (head.n, bytes.fromhex(head.hash)) for head in self.heads}

    @property
    def marks(self) -> Marks:
        """The hashes that were signed; partitions without entries have none."""
        return {(head.partition, head.n): bytes.fromhex(head.hash) for head in self.heads if head.n}


class _Signature(Struct, frozen=True, forbid_unknown_fields=True):
    ed25519: str


def make_checkpoint(store: Store, vault: Vault, at: datetime) -> Checkpoint:
    """Signs where all chains stand now, keeps it in the store, and returns it; `at` is aware.

    What came since the last checkpoint is verified first: raises Tampered, and signs nothing, where it does not
    follow from what was signed before.
    """
    last = latest(store, vault)
    heads = tuple(Head(row.partition, row.log_n, row.head.hex(), row.turn, row.next_offset) for row in store.progress())
    checkpoint = Checkpoint(
        number=last.number + 1 if last else 1,
        at=rfc3339(at),
        entries=sum(head.n for head in heads),
        heads=heads,
        previous=last.digest if last else "0" * 64,
        public_key=vault.public_key.hex(),
    )
    faults, starts = Faults(), last.ends if last else {}
    walked = walk(_between(store, starts, checkpoint), faults, marks=checkpoint.marks, starts=starts)
    reach(checkpoint.marks, walked, faults)
    for partition, (n, _) in starts.items():
        if n > checkpoint.ends.get(partition, (0, b""))[0]:
            faults.add(partition, n, "tail_cut", "it was signed, and the record ends before it")
    if faults.found:
        raise Tampered(f"nothing was signed: {faults.kept[0]}; see: orchestrator log verify")
    store.put_document(KIND, checkpoint.name, write(checkpoint, vault))
    return checkpoint


def write(checkpoint: Checkpoint, vault: Vault) -> bytes:
    """The two lines of a checkpoint."""
    statement = msgspec.json.encode(checkpoint)
    return statement + b"\n" + msgspec.json.encode(_Signature(vault.sign(statement).hex())) + b"\n"


def read(raw: bytes, public_key: bytes | None = None) -> Checkpoint:
    """The checkpoint in these bytes; raises Tampered where it was not signed so, or not with `public_key`.

    Without `public_key` the statement's own key is taken: that shows damage, but not a forger with keys of their own.
    """
    try:
        statement, signature = raw.removesuffix(b"\n").split(b"\n")
        checkpoint = msgspec.json.decode(statement, type=Checkpoint)
        signed = bytes.fromhex(msgspec.json.decode(signature, type=_Signature).ed25519)
        own_key = bytes.fromhex(checkpoint.public_key)
    except (msgspec.DecodeError, ValueError):
        raise Tampered("this is no checkpoint, or it is damaged") from None
    if not Vault.verify(public_key or own_key, statement, signed):
        raise Tampered(f"checkpoint {checkpoint.number} is not signed with the key that was given for it")
    if public_key is not None and own_key != public_key:
        raise Tampered(f"checkpoint {checkpoint.number} names another key than the one that signed it")
    if msgspec.json.encode(checkpoint) != statement:
        raise Tampered(f"checkpoint {checkpoint.number} is not in its canonical form")
    return checkpoint


def latest(store: Store, vault: Vault) -> Checkpoint | None:
    """The last checkpoint that the store keeps, or None; raises Tampered where it does not verify."""
    names = store.documents(KIND)
    raw = store.get_document(KIND, max(names)) if names else None
    return read(raw, vault.public_key) if raw is not None else None


def _between(store: Store, starts: Ends, checkpoint: Checkpoint) -> Iterator[LogRow]:
    """The entries after `starts`, up to the heads of `checkpoint`."""
    for head in checkpoint.heads:
        for row in store.log(partition=head.partition, after=starts.get(head.partition, (0, b""))[0]):
            if row.n > head.n:
                break
            yield row
