"""Orders: what a person or a process asks of the partitions' owners, written down in one transaction.

An order is an inbox row that is due before anything else, so that the partition takes it next, at its own clock,
however far behind it is. Nobody takes a partition to carry out an order: whoever owns it does, and logs who gave it.
"""

from __future__ import annotations

from orchestrator.events.inputs import Command, write_input
from orchestrator.events.partition import partition_of
from orchestrator.stores.contract import NewInbox, Store
from orchestrator.times import instant, rfc3339
from orchestrator.vault import Vault

# documents that say when which revision was put in force, and hold by whom
ACTIVATION = "activation"
# due before whatever else waits
FIRST = 0
NOBODY = b""


def to_all(store: Store, order: Command) -> list[NewInbox]:
    """The rows of an order about no member: one for each partition."""
    body = write_input(order)
    return [NewInbox(partition, FIRST, NOBODY, body) for partition in range(store.partitions)]


def to_member(store: Store, vault: Vault, member_id: str, order: Command) -> NewInbox:
    """The row of an order about one member."""
    partition = partition_of(member_id, store.partitions)
    return NewInbox(partition, FIRST, vault.member(member_id), write_input(order))


def activate(store: Store, revision: str, actor: str) -> bool:
    """Puts a content revision in force, as an ordered input of each partition; False where it is in force already.

    However many try at once, the order is given once, and is in every inbox when this returns. When it was given stands
    among its arguments: a partition may live in a time of its own, and plans by that.
    """
    given = rfc3339(instant(store.clock()))
    order = Command(verb="activate", actor=actor, arguments={"revision": revision, "ordered_at": given})
    while True:
        stands = store.get_document("revision", "active")
        if stands == revision.encode():
            return False
        if store.replace_document("revision", "active", stands, revision.encode(), to_all(store, order)):
            # for whoever asks which there were; what proves it is in the log
            store.put_document(ACTIVATION, f"{given} {revision}", actor.encode())
            return True
