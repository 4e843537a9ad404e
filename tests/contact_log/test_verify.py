"""A store's log: untouched it verifies; edited behind the engine's back it does not, and the entry is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.contact_log import checkpoint as checkpoints
from orchestrator.contact_log.chain import GENESIS, link
from orchestrator.contact_log.checkpoint import make_checkpoint
from orchestrator.contact_log.verify import VerifyReport, verify
from orchestrator.errors import Tampered
from orchestrator.stores.contract import LogRow, Store
from orchestrator.stores.sql.store import SqlStore
from orchestrator.times import instant
from orchestrator.vault import Vault

NOW = instant(1_772_625_600_000_000)
Fill = Callable[[Store], None]


def found(report: VerifyReport) -> set[tuple[int, int, str]]:
    return {(fault.partition, fault.n, fault.what) for fault in report.faults}


def edit(database: Path, *statements: str) -> None:
    """What somebody with the database file can do."""
    connection = sqlite3.connect(database)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def recompute(database: Path, partition: int) -> None:
    """Numbers and chains a partition anew and sets its progress to match, as a forger with full access would."""
    connection = sqlite3.connect(database)
    columns = ", ".join(f'"{name}"' for name in LogRow._fields)
    rows = connection.execute(f'SELECT {columns} FROM log WHERE "partition" = ? ORDER BY n', (partition,)).fetchall()
    connection.execute('DELETE FROM log WHERE "partition" = ?', (partition,))
    n, head = 0, GENESIS
    for values in rows:
        row = LogRow(*values)._replace(n=n + 1, prev_hash=head)
        row = row._replace(hash=link(row))
        n, head = row.n, row.hash
        connection.execute(f"INSERT INTO log ({columns}) VALUES ({', '.join('?' * len(row))})", row)
    connection.execute('UPDATE progress SET log_n = ?, head = ? WHERE "partition" = ?', (n, head, partition))
    connection.commit()
    connection.close()


# --- untouched


def test_an_untouched_log_verifies(store: Store, fill: Fill) -> None:
    fill(store)
    report = verify(store)
    assert (True, 34, 3) == (report.ok, report.entries, report.partitions)


def test_an_empty_store_verifies(store: Store) -> None:
    assert verify(store).ok


def test_a_log_that_went_on_after_a_checkpoint_verifies_against_it(
    store: Store, fill: Fill, vault: Vault, add: Callable[..., Any], entries: Callable[..., Any]
) -> None:
    fill(store)
    signed = make_checkpoint(store, vault, NOW)
    add(store, 0, entries(3))
    add(store, 1, entries(2))
    report = verify(store, signed, vault.public_key)
    assert (True, 1) == (report.ok, report.checkpoint)


def test_only_what_came_since_can_be_read(
    store: Store, fill: Fill, vault: Vault, add: Callable[..., Any], entries: Callable[..., Any]
) -> None:
    fill(store)
    signed = make_checkpoint(store, vault, NOW)
    add(store, 0, entries(3))
    add(store, 1, entries(2))
    report = verify(store, since=signed)
    assert (True, 5) == (report.ok, report.entries)


# --- edited


@pytest.mark.parametrize(
    "column", [name for name in LogRow._fields if name not in ("partition", "n", "hash", "prev_hash")]
)
def test_any_edited_column_is_found(database: Path, sqlite: Store, fill: Fill, column: str) -> None:
    fill(sqlite)
    number = column in ("turn", "at", "occurred_at", "valid_until", "release_at")
    value = "7" if number else "'x'"
    edit(database, f'UPDATE log SET "{column}" = {value} WHERE "partition" = 2 AND n = 3')
    assert {(2, 3, "altered")} == found(verify(sqlite))


def test_a_deleted_entry_is_found(database: Path, sqlite: Store, fill: Fill) -> None:
    fill(sqlite)
    edit(database, 'DELETE FROM log WHERE "partition" = 0 AND n IN (4, 5)')
    assert {(0, 4, "missing")} == found(verify(sqlite))


def test_a_deleted_first_entry_is_found(database: Path, sqlite: Store, fill: Fill) -> None:
    fill(sqlite)
    edit(database, 'DELETE FROM log WHERE "partition" = 0 AND n = 1')
    assert {(0, 1, "missing")} == found(verify(sqlite))


def test_a_cut_tail_is_found_by_the_record_of_progress(database: Path, sqlite: Store, fill: Fill) -> None:
    fill(sqlite)
    edit(database, 'DELETE FROM log WHERE "partition" = 0 AND n > 12')
    assert {(0, 13, "tail_cut")} == found(verify(sqlite))


def test_an_appended_forgery_is_found_by_the_record_of_progress(database: Path, sqlite: Store, fill: Fill) -> None:
    fill(sqlite)
    last = list(sqlite.log(partition=3))[-1]
    forged = last._replace(n=last.n + 1, prev_hash=last.hash, intent_id="forged")
    forged = forged._replace(hash=link(forged))
    connection = sqlite3.connect(database)
    columns = ", ".join(f'"{name}"' for name in LogRow._fields)
    connection.execute(f"INSERT INTO log ({columns}) VALUES ({', '.join('?' * len(forged))})", forged)
    connection.commit()
    connection.close()
    assert {(3, last.n + 1, "inserted")} == found(verify(sqlite))


def test_entries_of_a_partition_that_was_never_taken_are_found(database: Path, sqlite: Store, fill: Fill) -> None:
    fill(sqlite)
    edit(database, 'UPDATE log SET "partition" = 1 WHERE "partition" = 3')
    assert {(3, 1, "tail_cut"), (1, 4, "inserted"), (1, 1, "altered")} <= found(verify(sqlite))


def test_a_recomputed_chain_is_found_by_the_checkpoint_alone(
    database: Path, sqlite: Store, fill: Fill, vault: Vault
) -> None:
    fill(sqlite)
    signed = make_checkpoint(sqlite, vault, NOW)
    edit(database, """UPDATE log SET verdict = 'suppress' WHERE "partition" = 2 AND n = 3""")
    recompute(database, 2)
    assert set() == found(verify(sqlite)), "the chain alone can't tell"
    assert {(2, 15, "recomputed")} == found(verify(sqlite, signed))


def test_a_tail_cut_with_its_progress_is_found_by_the_checkpoint_alone(
    database: Path, sqlite: Store, fill: Fill, vault: Vault
) -> None:
    fill(sqlite)
    signed = make_checkpoint(sqlite, vault, NOW)
    edit(database, 'DELETE FROM log WHERE "partition" = 2 AND n > 9')
    recompute(database, 2)
    assert set() == found(verify(sqlite)), "the chain alone can't tell"
    assert {(2, 10, "tail_cut")} == found(verify(sqlite, signed))


def test_a_store_begun_anew_is_found_by_the_checkpoint_alone(
    store: Store, fill: Fill, vault: Vault, tmp_path: Path
) -> None:
    fill(store)
    signed = make_checkpoint(store, vault, NOW)
    fresh = SqlStore.open(f"sqlite:///{tmp_path / 'fresh.db'}", 4)
    report = verify(fresh, signed)
    fresh.close()
    assert {(0, 1, "tail_cut"), (2, 1, "tail_cut"), (3, 1, "tail_cut")} == found(report)


def test_a_checkpoint_signed_with_another_key_is_found(
    store: Store, fill: Fill, vault: Vault, other_vault: Vault
) -> None:
    fill(store)
    signed = make_checkpoint(store, vault, NOW)
    assert {(-1, 0, "signature")} == found(verify(store, signed, other_vault.public_key))


# --- beside a working engine


class Busy:
    """A store to which entries are written while its log is read."""

    def __init__(self, store: Store, write: Callable[[], object]) -> None:
        self._store, self._write = store, write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def log(self, **given: Any) -> Iterator[LogRow]:
        rows: Iterable[LogRow] = self._store.log(**given)
        self._write()
        yield from rows


def test_entries_that_arrive_while_it_reads_are_no_fault(
    store: Store, fill: Fill, add: Callable[..., Any], entries: Callable[..., Any]
) -> None:
    fill(store)
    busy = Busy(store, lambda: [add(store, partition, entries(2)) for partition in (0, 1)])
    report = verify(busy)  # type: ignore[arg-type]  # hands everything on to a store
    assert set() == found(report)


# --- checkpoints


def test_checkpoints_name_each_other_and_where_the_chains_stand(
    store: Store, fill: Fill, vault: Vault, add: Callable[..., Any], entries: Callable[..., Any]
) -> None:
    fill(store)
    first = make_checkpoint(store, vault, NOW)
    add(store, 1, entries(2))
    second = make_checkpoint(store, vault, NOW + timedelta(days=1))
    assert (1, "0" * 64, 34) == (first.number, first.previous, first.entries)
    assert (2, first.digest, 36) == (second.number, second.previous, second.entries)
    assert [(row.partition, row.log_n, row.head) for row in store.progress()] == [
        (partition, n, head) for partition, (n, head) in second.ends.items()
    ]


def test_a_checkpoint_read_back_is_what_was_signed(store: Store, fill: Fill, vault: Vault) -> None:
    fill(store)
    signed = make_checkpoint(store, vault, NOW)
    raw = store.get_document("checkpoint", signed.name)
    assert raw is not None
    assert signed == checkpoints.read(raw, vault.public_key) == checkpoints.read(raw)


def test_any_altered_byte_of_a_checkpoint_is_found(store: Store, fill: Fill, vault: Vault) -> None:
    fill(store)
    raw = checkpoints.write(make_checkpoint(store, vault, NOW), vault)
    for at in range(len(raw)):
        altered = bytearray(raw)
        altered[at] ^= 1
        with pytest.raises(Tampered):
            checkpoints.read(bytes(altered), vault.public_key)


@pytest.mark.parametrize("raw", [b"", b"\n", b"{}\n{}\n", b"[]", b"\xff\n\xff", b"a\nb\nc\n"])
def test_nonsense_is_no_checkpoint(raw: bytes) -> None:
    with pytest.raises(Tampered, match="no checkpoint"):
        checkpoints.read(raw)


def test_a_checkpoint_of_a_forger_with_own_keys_is_refused(
    store: Store, fill: Fill, vault: Vault, other_vault: Vault
) -> None:
    fill(store)
    raw = checkpoints.write(make_checkpoint(store, other_vault, NOW), other_vault)
    with pytest.raises(Tampered):
        checkpoints.read(raw, vault.public_key)


def test_nothing_is_signed_over_a_log_that_does_not_follow_from_the_last_checkpoint(
    database: Path, sqlite: Store, fill: Fill, vault: Vault
) -> None:
    fill(sqlite)
    make_checkpoint(sqlite, vault, NOW)
    edit(database, 'DELETE FROM log WHERE "partition" = 2 AND n > 9')
    recompute(database, 2)
    with pytest.raises(Tampered, match="partition 2, entry 15"):
        make_checkpoint(sqlite, vault, NOW)
    assert ["00000001"] == sqlite.documents("checkpoint")


def test_nothing_is_signed_over_an_entry_that_was_altered_since(
    database: Path, sqlite: Store, fill: Fill, vault: Vault, add: Callable[..., Any], entries: Callable[..., Any]
) -> None:
    fill(sqlite)
    make_checkpoint(sqlite, vault, NOW)
    add(sqlite, 0, entries(3))
    edit(database, """UPDATE log SET reason = 'x' WHERE "partition" = 0 AND n = 17""")
    with pytest.raises(Tampered, match="partition 0, entry 17"):
        make_checkpoint(sqlite, vault, NOW)


def test_a_forged_checkpoint_in_the_store_is_not_continued(
    store: Store, fill: Fill, vault: Vault, other_vault: Vault
) -> None:
    fill(store)
    make_checkpoint(store, other_vault, NOW)
    with pytest.raises(Tampered, match="not signed"):
        make_checkpoint(store, vault, NOW)
