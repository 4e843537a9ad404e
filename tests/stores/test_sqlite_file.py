"""A store on disk: made by itself, refused when not ours, led to the declared schema, asked through its indexes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from orchestrator.errors import SetupError
from orchestrator.stores import contract
from orchestrator.stores.sql import SqlStore, schema
from orchestrator.stores.sql.migrate import SCRIPTS
from orchestrator.stores.sql.statements import SQLITE, marks
from orchestrator.testing.store_rows import Owner, digest, everything, full_changes, furnish, log_row, member_row


def url(folder: Path) -> str:
    return f"sqlite:///{folder}/store.db"


@pytest.fixture
def made(tmp_path: Path) -> str:
    """The address of a store that was made and left."""
    SqlStore.open(url(tmp_path), 4).close()
    return url(tmp_path)


def direct(address: str) -> sqlite3.Connection:
    return sqlite3.connect(address.removeprefix("sqlite:///"), isolation_level=None)


def declared(connection: sqlite3.Connection) -> set[str]:
    """Every table and index as SQLite keeps it, spaces aside."""
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
    return {" ".join(row[0].split()) for row in rows if "alembic_version" not in row[0]}


# --- opening
def test_the_migrations_lead_to_the_declared_schema(made: str, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/declared.db")
    schema.metadata.create_all(engine)
    engine.dispose()
    with closing(direct(f"sqlite:///{tmp_path}/declared.db")) as expected, closing(direct(made)) as migrated:
        assert declared(expected) == declared(migrated)


def test_the_revision_that_the_schema_names_is_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    assert [schema.HEAD] == ScriptDirectory.from_config(config).get_heads()


@pytest.mark.parametrize(
    ("row", "table"),
    [
        *((contract.MemberRow, "members"), (contract.KeyRow, "keys"), (contract.JournalRow, "journal")),
        *((contract.SeenRow, "seen"), (contract.LogRow, "log"), (contract.InboxRow, "inbox")),
        *((contract.TouchRow, "touches"), (contract.SuppressionRow, "suppressions")),
        *((contract.HolderRow, "holders"), (contract.SwitchRow, "switches"), (contract.FilePosition, "positions")),
    ],
)
def test_columns_stand_in_the_order_of_their_row(row: Any, table: str) -> None:
    assert row._fields == tuple(schema.metadata.tables[table].columns.keys())


def test_a_store_for_another_number_of_partitions_is_refused_with_the_setting_to_write(made: str) -> None:
    with pytest.raises(SetupError, match="partitions = 4"):
        SqlStore.open(made, 8)


def test_a_store_of_an_older_revision_is_refused_with_a_command_that_cures_it(made: str) -> None:
    with closing(direct(made)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(SetupError, match=r"python -m orchestrator\.stores\.sql upgrade sqlite:///"):
        SqlStore.open(made, 4)


def test_a_store_of_a_newer_revision_is_refused_with_a_command_that_cures_it(made: str) -> None:
    with closing(direct(made)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SetupError, match=r"9999.*pip install --upgrade"):
        SqlStore.open(made, 4)


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    with closing(direct(url(tmp_path))) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
        with pytest.raises(SetupError, match="not ours"):
            SqlStore.open(url(tmp_path), 4)
        assert [("customers",)] == connection.execute("SELECT name FROM sqlite_master").fetchall()


@pytest.mark.parametrize(
    "address",
    [
        *("orchestrator.db", "sqlite://", "sqlite:///:memory:", "mysql://127.0.0.1/orchestrator"),
        "sqlite:////nowhere/at/all/store.db",
    ],
)
def test_an_address_that_keeps_no_store_is_refused(address: str) -> None:
    with pytest.raises(SetupError):
        SqlStore.open(address, 4)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    file.write_bytes(b"a letter to the editor" * 100)
    with pytest.raises(SetupError, match="SQLite"):
        SqlStore.open(url(tmp_path), 4)
    assert b"a letter to the editor" * 100 == file.read_bytes()


def test_the_upgrade_command_leads_an_existing_store_here(made: str) -> None:
    command = [sys.executable, "-m", "orchestrator.stores.sql", "upgrade", made]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, f"{schema.HEAD} -> {schema.HEAD}\n", "") == (done.returncode, done.stdout, done.stderr)


def test_the_upgrade_command_refuses_what_it_cannot_lead_here(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "orchestrator.stores.sql", "upgrade", url(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 3 == done.returncode
    assert "not ours" in done.stderr


def test_a_file_is_opened_durably_and_with_its_own_log(made: str) -> None:
    store = SqlStore.open(made, 4)
    asked = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")

    def answers(*, lasting: bool) -> list[object]:
        with store._writing(lasting=lasting) as connection:
            return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in asked]

    # synchronous, 2: FULL, a commit waits for the disk; 1: NORMAL, the log is written in order, and waits now and then
    expected = [["wal", 2, 1, 1], ["wal", 1, 1, 1]] * 2
    assert expected == [answers(lasting=lasting) for lasting in (True, False) * 2]
    with pytest.raises(ValueError, match="half way"), store._writing(lasting=False):
        raise ValueError("half way")
    assert ["wal", 2, 1, 1] == answers(lasting=True)
    store.close()


# --- nothing of a broken batch
@pytest.mark.parametrize(
    "field", [name for name in contract.Changes._fields if name not in {"progress", "totals", "daily"}]
)
def test_a_failure_at_any_table_leaves_nothing_of_the_batch(made: str, field: str) -> None:
    store = SqlStore.open(made, 4)
    owner = furnish(store)
    changes = full_changes(owner)
    good = getattr(changes, field)[0]
    # the driver can't carry the second row's first value, after the first row was written
    bad = object() if isinstance(good, str) else (object(), *good[1:])
    then = everything(store)
    with pytest.raises(Exception, match=r"not supported|has no attribute|bind"), store.batch([owner.held[0]]) as batch:
        batch.write(changes._replace(**{field: [good, bad]}))
    assert then == everything(store)
    # and the store goes on
    owner.commit(*changes.progress)
    store.close()


def test_errors_hold_no_values_of_rows(made: str) -> None:
    store = SqlStore.open(made, 4)
    owner = Owner(store)
    owner.commit(log=[log_row(0, 1)])
    with pytest.raises(Exception, match="UNIQUE") as raised:
        owner.commit(members=[member_row("ann")], log=[log_row(0, 1)])
    store.close()
    assert digest("ann").hex() not in str(raised.value)


# --- what is asked often must not cost more as history grows
LIVE = {
    "due": "ix_inbox_partition_due_member_seq",
    "next_due": "ix_inbox_partition_due_member_seq",
    "give_back": "ix_touches_in_flight",
    "lapsed": "ix_touches_in_flight",
    "next_rank": "ix_touches_reserved",
    "claimable": "ix_touches_reserved",
    "covered_contact": "ix_touches_waiting",
    "log_of": "ix_log_span_ref",
    "covered_member": "ix_touches_member_state",
    "reached": "ix_touches_member_state_attempted_at (member=? AND state=? AND attempted_at>?",
}


@pytest.mark.parametrize("statement", LIVE)
def test_the_outbox_and_inbox_are_asked_through_indexes_over_what_is_live(made: str, statement: str) -> None:
    plan = " / ".join(explain(made, getattr(SQLITE, statement)))
    assert LIVE[statement] in plan
    # a sort would read every candidate before the first is claimed
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(
    "statement", ["members", "keys", "seen", "touch_states", "consume", "cancel", "attempt", "holders_of"]
)
def test_rows_are_found_by_their_keys(made: str, statement: str) -> None:
    plan = explain(made, getattr(SQLITE, statement))
    assert [] == [step for step in plan if step.startswith("SCAN")]


def explain(address: str, statement: str) -> list[str]:
    text = statement.replace("{buckets}", marks(2)).replace("{marks}", marks(8))
    with closing(direct(address)) as connection:
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", (1,) * text.count("?"))]
