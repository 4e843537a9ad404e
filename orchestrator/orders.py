"""Orders: what a person or a process asks of the partitions' owners, written down in one transaction.

An order is an inbox row that is due before anything else, so that the partition takes it next, at its own clock,
however far behind it is. Nobody takes a partition to carry out an order: whoever owns it does, and logs who gave it.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from orchestrator.events.inputs import Command, write_input
from orchestrator.events.partition import partition_of
from orchestrator.stores.contract import NewInbox, Store
from orchestrator.times import rfc3339
from orchestrator.vault import Vault

# documents: each time that a revision was put in force, numbered
ACTIVATION = "activation"
# due before whatever else waits
FIRST = 0
NOBODY = b""


class Activated(Struct, frozen=True, kw_only=True):
    """One time that a revision was put in force."""

    revision: str
    # a person, or the process that found nothing in force or another version of itself
    by: str
    # RFC 3339 UTC; None: by an engine in a time of its own
    at: str | None


def to_all(store: Store, order: Command) -> list[NewInbox]:
    """The rows of an order about no member: one for each partition."""
    body = write_input(order)
    return [NewInbox(partition, FIRST, NOBODY, body) for partition in range(store.partitions)]


def to_member(store: Store, vault: Vault, member_id: str, order: Command) -> NewInbox:
    """The row of an order about one member."""
    partition = partition_of(member_id, store.partitions)
    return NewInbox(partition, FIRST, vault.member(member_id), write_input(order))


def activate(store: Store, revision: str, actor: str, ordered_at: datetime | None = None) -> bool:
    """Puts a content revision in force, as an ordered input of each partition; False where it is in force already.

    However many try at once, the order is given once, and is in every inbox when this returns. `ordered_at` is told
    where the order is given on the real clock; partitions carry it out, and plan, at their own.
    """
    told = {} if ordered_at is None else {"ordered_at": rfc3339(ordered_at)}
    order = Command(verb="activate", actor=actor, arguments={"revision": revision, **told})
    while True:
        stands = store.get_document("revision", "active")
        if stands == revision.encode():
            return False
        if store.replace_document("revision", "active", stands, revision.encode(), to_all(store, order)):
            _note(store, Activated(revision=revision, by=actor, at=told.get("ordered_at")))
            return True


def activations(store: Store) -> list[Activated]:
    """The revisions that were put in force, from the first to the last."""
    bodies = [store.get_document(ACTIVATION, name) for name in store.documents(ACTIVATION)]
    return [msgspec.json.decode(body, type=Activated) for body in bodies if body is not None]


def _note(store: Store, activated: Activated) -> None:
    """For whoever asks which there were; what proves it is in the log."""
    number = len(store.documents(ACTIVATION)) + 1
    while not store.replace_document(ACTIVATION, f"{number:08}", None, msgspec.json.encode(activated), []):
        number += 1
