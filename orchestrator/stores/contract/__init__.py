"""The store's contract. Every implementation passes `orchestrator.testing.store_suite`.

A batch of inputs is one transaction that writes *all* of it or nothing: members, journal, contact log, touches, inbox
rows added and consumed, suppressions, dead letters, counts, positions, and each partition's progress; the last only
under the epoch, offset and turn that this worker took. Instants are whole microseconds since 1970 (`times.micros`).
Rows are plain named tuples in column order, so that the hot path hands them to the driver as they are.

    rows       partitions: members, inbox, journal, log, dead letters
    outbox     touches and the claims on them, switches
    contacts   who has a contact point, who was reached there, who may not be called
    vouchers   codes and pools
    batch      `Batch`, a transaction over partitions, and the `Changes` it writes
    store      `Store`
"""

from orchestrator.stores.contract.batch import Batch, Changes, Expected
from orchestrator.stores.contract.contacts import (
    HEARD_DAYS,
    MEMBERS_AT,
    ContactRow,
    HeardBefore,
    HeardRow,
    HolderRow,
    Reached,
    SuppressionRow,
)
from orchestrator.stores.contract.outbox import Backlog, Claim, Clock, OutcomeRow, Queue, SwitchRow, TouchRow
from orchestrator.stores.contract.rows import (
    Burial,
    CursorMove,
    DeadRow,
    FilePosition,
    InboxRow,
    JournalRow,
    KeyRow,
    LogRow,
    MemberRow,
    NewInbox,
    ParkedRow,
    Progress,
    QuarantineRow,
    SeenRow,
)
from orchestrator.stores.contract.store import Store
from orchestrator.stores.contract.vouchers import NewVoucher, PoolRow, VoucherGiven, VoucherRow

__all__ = [
    "HEARD_DAYS",
    "MEMBERS_AT",
    "Backlog",
    "Batch",
    "Burial",
    "Changes",
    "Claim",
    "Clock",
    "ContactRow",
    "CursorMove",
    "DeadRow",
    "Expected",
    "FilePosition",
    "HeardBefore",
    "HeardRow",
    "HolderRow",
    "InboxRow",
    "JournalRow",
    "KeyRow",
    "LogRow",
    "MemberRow",
    "NewInbox",
    "NewVoucher",
    "OutcomeRow",
    "ParkedRow",
    "PoolRow",
    "Progress",
    "QuarantineRow",
    "Queue",
    "Reached",
    "SeenRow",
    "Store",
    "SuppressionRow",
    "SwitchRow",
    "TouchRow",
    "VoucherGiven",
    "VoucherRow",
]
