"""The schema on PostgreSQL: what migrations lead to, pieces by time, who may do what, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine

from orchestrator.errors import Refused, SetupError, UsageError
from orchestrator.stores.contract import CursorMove, SuppressionRow, SwitchRow
from orchestrator.stores.sql import SqlStore, schema
from orchestrator.stores.sql.postgres.grants import RIGHTS, grant, grants, read_login
from orchestrator.stores.sql.postgres.store import PostgresStore
from orchestrator.testing.store_rows import (
    Owner,
    full_changes,
    furnish,
    journal_row,
    log_row,
    looking,
    outcome,
    told,
    touch_row,
    voucher,
)
from orchestrator.testing.store_suite import attempted, reserve
from orchestrator.times import micros
from tests.servers import Postgres

PREFIX = "orchestrator_test"


def asked(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """As an administrator."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement, values or None)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> Iterator[str]:
    """A database with a store in it, for the tests of this file that change nothing others look at."""
    url = postgres.fresh_database()
    SqlStore.open(url, 4).close()
    yield url
    postgres.drop(url)


def described(url: str) -> set[tuple[Any, ...]]:
    """Every column, constraint, index and way of partitioning, as the server would write it; months aside."""
    aside = "NOT c.relispartition AND c.relname <> 'alembic_version' AND n.nspname = 'public'"
    columns = asked(
        url,
        f"""SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, l.collname,
                   pg_get_expr(d.adbin, d.adrelid), c.reloptions
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
              LEFT JOIN pg_collation l ON l.oid = a.attcollation
              LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
             WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND {aside}""",
    )
    constraints = asked(
        url,
        f"""SELECT c.relname, k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint k
              JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE k.contype <> 'n' AND {aside}""",
    )
    indexes = asked(
        url,
        f"""SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
              JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {aside}""",
    )
    pieces = asked(url, "SELECT partrelid::regclass::text, pg_get_partkeydef(partrelid) FROM pg_partitioned_table")
    rows = [*columns, *constraints, *indexes, *pieces]
    return {tuple(str(value) if isinstance(value, list) else value for value in row) for row in rows}


# --- opening
def test_the_migrations_lead_to_the_declared_schema(url: str, postgres_url: str) -> None:
    engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    schema.metadata.create_all(engine)
    engine.dispose()
    assert described(postgres_url) == described(url)
    assert len(described(url)) > 150


def test_processes_that_open_an_empty_database_at_once_make_the_tables_once(postgres_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: SqlStore.open(postgres_url, 4), range(4)))
    for store in stores:
        store.close()


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_both_names_of_the_driver_lead_to_the_store(url: str, scheme: str) -> None:
    store = SqlStore.open(url.replace("postgresql", scheme, 1), 4)
    assert isinstance(store, PostgresStore)
    store.close()


def test_a_store_for_another_number_of_partitions_is_refused_with_the_setting_to_write(url: str) -> None:
    with pytest.raises(SetupError, match="partitions = 4"):
        SqlStore.open(url, 8)


def test_somebody_elses_database_is_refused_and_left_alone(postgres_url: str) -> None:
    asked(postgres_url, "CREATE TABLE customers (name text)")
    with pytest.raises(SetupError, match="not ours"):
        SqlStore.open(postgres_url, 4)
    assert [("customers",)] == asked(postgres_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")


def test_a_server_that_does_not_answer_is_told_with_what_to_check() -> None:
    with pytest.raises(SetupError, match=r"orchestrator\.toml") as raised:
        SqlStore.open("postgresql://somebody:secret@127.0.0.1:1/nowhere", 4)
    assert "secret" not in str(raised.value)


def test_the_upgrade_command_leads_an_existing_store_here(url: str) -> None:
    command = [sys.executable, "-m", "orchestrator.stores.sql", "upgrade", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, f"{schema.HEAD} -> {schema.HEAD}\n", "") == (done.returncode, done.stdout, done.stderr)


def test_sessions_are_durable_whatever_the_database_is_set_to(postgres: Postgres, postgres_url: str) -> None:
    asked(postgres_url, f'ALTER DATABASE "{postgres_url.rpartition("/")[2]}" SET synchronous_commit = off')
    store = SqlStore.open(postgres_url, 4)
    with store.batch([]) as batch:
        (answer,) = batch._rows("SHOW synchronous_commit")
    pooled = store._write(lambda connection: connection.exec_driver_sql("SHOW synchronous_commit").scalar())
    store.close()
    assert ("on", "on") == (answer[0], pooled)


# --- pieces by time
def test_rows_lie_in_the_month_of_their_moment_and_others_beside_them(postgres_url: str) -> None:
    store = SqlStore.open(postgres_url, 4)
    now = micros(datetime.now(UTC))
    owner = Owner(store)
    owner.commit(
        log=[log_row(0, 1), log_row(0, 2)._replace(at=now)],
        journal=[journal_row(0, 1), journal_row(0, 2)._replace(at=now)],
    )
    month = datetime.now(UTC).strftime("%Y_%m")
    for table in ("log", "journal"):
        places = asked(postgres_url, f"SELECT tableoid::regclass::text FROM {table} ORDER BY at")
        assert [(f"{table}_other",), (f"{table}_{month}",)] == places
    assert [1, 2] == [row.n for row in store.log()]
    store.close()


def test_taking_makes_the_months_ahead_unless_rows_lie_in_their_way(postgres_url: str) -> None:
    store = SqlStore.open(postgres_url, 4)
    owner = Owner(store)
    ahead = asked(
        postgres_url,
        "SELECT to_char((now() AT TIME ZONE 'UTC') + interval '1 month' * n, 'YYYY_MM') FROM generate_series(8, 12) n",
    )
    names = [f"{table}_{month}" for (month,) in ahead for table in ("log", "journal")]
    for name in names:
        asked(postgres_url, f"DROP TABLE {name}")
    stray = asked(postgres_url, "SELECT (extract(epoch FROM now() + interval '1 month' * 10) * 1000000)::int8")[0][0]
    owner.commit(log=[log_row(0, 1)._replace(at=stray)])
    store.take([0])
    made = {
        row[0] for row in asked(postgres_url, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relispartition")
    }
    assert [f"log_{ahead[2][0]}"] == [name for name in names if name not in made]
    store.close()


# --- who may do what
@pytest.fixture(scope="module")
def logins(postgres: Postgres, url: str) -> Iterator[Callable[[str], str]]:
    """role -> the url of a login that is its member and nothing else."""
    grant(url, PREFIX)
    names = [f"{PREFIX}_{role}_login" for role in RIGHTS]
    for role, name in zip(RIGHTS, names, strict=True):
        asked(url, f"CREATE ROLE {name} LOGIN IN ROLE {PREFIX}_{role}")
    yield lambda role: url.replace("postgres@", f"{PREFIX}_{role}_login@")
    postgres.drop(url)
    for name in (*names, *(f"{PREFIX}_{role}" for role in RIGHTS)):
        postgres.run(f"DROP OWNED BY {name}")
        postgres.run(f"DROP ROLE {name}")


@pytest.fixture
def as_role(logins: Callable[[str], str], url: str) -> Iterator[Callable[[str], SqlStore]]:
    """Opens the emptied store as a role's login."""
    asked(
        url, "; ".join(f"DELETE FROM {name}" for name in schema.metadata.tables if name not in {"shape", "registries"})
    )
    stores: list[SqlStore] = []

    def opened(role: str) -> SqlStore:
        stores.append(SqlStore.open(logins(role), 4))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


def test_an_owner_takes_decides_and_ends_its_predecessor(as_role: Callable[[str], SqlStore]) -> None:
    former, new = as_role("owner"), as_role("owner")
    owner = furnish(former, as_role("inbox_writer"))
    changes = full_changes(owner)
    with former.batch([owner.held[0]]) as batch:
        batch.write(changes)
    former.count_try(0, 1)
    former.put_document("revision", "active", b"1")
    new.take([0])
    with pytest.raises(Refused):
        owner.commit()


def test_an_inbox_writer_dispatches_takes_orders_and_opens_messages(
    as_role: Callable[[str], SqlStore], url: str
) -> None:
    made = SqlStore.open(url, 4)
    reserve(made, *(touch_row(f"t{i}", f"m{i}") for i in range(4)))
    made.close()
    store = as_role("inbox_writer")
    touches = attempted(store)
    assert [True] == store.outcomes([outcome(touches[0])])
    assert 3 == store.lapse(101, lambda touch, _: told(touch.touch_id))
    store.suppress([SuppressionRow("contact-ann", "*", "*", 1, "withdrawn")], [told("x")])
    for on in (True, False):
        store.switch(SwitchRow("all", 1, "operator"), on, [])
    store.put_document("revision", "r", b"1")
    assert 1 == store.load_registry("no-calls", ["a"], 1)
    assert {} == store.load_vouchers([voucher("a")])
    store.filled("gifts", 1)
    assert [("gifts", 1, 0, 0)] == store.pools()
    assert store.key("nobody") is None
    assert 0 == store.next_due()


def test_a_relay_reads_the_log_and_moves_its_cursors(as_role: Callable[[str], SqlStore]) -> None:
    furnish(as_role("owner"), as_role("inbox_writer"))
    store = as_role("relay")
    assert 1 == len(list(store.log()))
    assert 1 == len(store.news({0: 0}, 10))
    assert [True] == store.move_cursors([CursorMove(0, "decisions", 0, 1)])
    assert [True] == store.move_cursors([CursorMove(0, "decisions", 1, 2)])
    assert {(0, "decisions"): 2} == store.cursors()
    assert 1 == len(store.progress())


def test_a_reader_reads_everything(as_role: Callable[[str], SqlStore]) -> None:
    furnish(as_role("owner"), as_role("inbox_writer"))
    store = as_role("reader")
    assert 1 == len(list(store.log())) == len(list(store.journal(0)))
    assert 2 == len(list(store.touches()))
    with looking(store) as batch:
        assert [b"t1"] == [row.input for row in batch.due({0: 10}, 10)]


@pytest.mark.parametrize("role", RIGHTS)
def test_a_role_may_do_nothing_that_is_not_written_down(logins: Callable[[str], str], role: str) -> None:
    """Every right on every table is asked of the server, and so is every column that may be changed."""
    rights = RIGHTS[role]
    expected = {
        (table.partition(" (")[0], right) for right, tables in rights.items() for table in tables if "(" not in table
    }
    columns = {
        (table, column, "UPDATE")
        for each in rights.get("UPDATE", ())
        if "(" in each
        for table, _, names in [each.rstrip(")").partition(" (")]
        for column in names.split(", ")
    }
    with psycopg.connect(logins(role)) as session:
        tables = "FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        words = "unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS word"
        held = session.execute(
            f"SELECT relname, word {tables.replace('pg_class', f'pg_class, {words}')} "
            "AND has_table_privilege(oid, word)"  # type: ignore[arg-type]
        ).fetchall()
        by_column = session.execute(
            "SELECT c.relname, a.attname, 'UPDATE' FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND a.attnum > 0 "
            "AND has_column_privilege(c.oid, a.attnum, 'UPDATE') AND NOT has_table_privilege(c.oid, 'UPDATE')"
        ).fetchall()
        makes = session.execute("SELECT has_schema_privilege('public', 'CREATE')").fetchall()
    assert expected == set(held)
    assert columns == set(by_column)
    assert [(False,)] == makes


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("owner", "UPDATE log SET reason = 'allowed'"),
        ("owner", "DELETE FROM log"),
        ("owner", "DELETE FROM journal"),
        ("owner", "DELETE FROM log_other"),
        ("owner", "ALTER TABLE log DISABLE TRIGGER ALL"),
        ("inbox_writer", "INSERT INTO touches SELECT * FROM touches"),
        ("inbox_writer", "UPDATE touches SET message = ''"),
        ("inbox_writer", "SELECT state FROM members"),
        ("inbox_writer", "SELECT code FROM vouchers"),
        ("inbox_writer", "UPDATE vouchers SET touch_id = ''"),
        ("owner", "INSERT INTO vouchers (pool, fingerprint, code, touch_id, ref) VALUES ('', '', '', '', '')"),
        ("owner", "DELETE FROM vouchers"),
        ("relay", "SELECT pool FROM vouchers"),
        ("inbox_writer", "DELETE FROM suppressions"),
        ("inbox_writer", "UPDATE progress SET epoch = 9"),
        ("server", "SELECT 1 FROM log"),
        ("server", "SELECT 1 FROM journal"),
        ("server", "UPDATE members SET state = ''"),
        ("server", "UPDATE touches SET attempts = 0"),
        ("server", "DELETE FROM suppressions"),
        ("server", "INSERT INTO switches SELECT * FROM switches"),
        ("relay", "SELECT wrapped FROM keys"),
        ("relay", "INSERT INTO inbox (partition, due, member, input) VALUES (0, 0, '', '')"),
        ("reader", "UPDATE cursors SET n = 0"),
        ("reader", "SELECT make_months(1)"),
    ],
)
def test_the_server_refuses_what_a_role_is_not_for(logins: Callable[[str], str], role: str, statement: str) -> None:
    with psycopg.connect(logins(role)) as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute(statement)  # type: ignore[call-overload]


@pytest.mark.parametrize("role", ["inbox_writer", "server", "relay", "reader"])
def test_who_decides_under_the_wrong_role_is_told_the_cure(as_role: Callable[[str], SqlStore], role: str) -> None:
    with pytest.raises(SetupError, match="orchestrator store grants"):
        as_role(role).take([0])


def test_an_odd_prefix_is_refused() -> None:
    for prefix in ("", "Orchestrator", "x; DROP TABLE log", "ä"):
        with pytest.raises(UsageError):
            grants(prefix, "public")


@pytest.mark.parametrize("text", ["", "worker", "worker=", "worker=boss", "Worker=owner", "x;=owner", "a=owner,owner"])
def test_an_odd_login_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no login"):
        read_login(text)


def test_nobody_is_made_a_login_in_the_place_of_who_owns_the_tables(postgres_url: str) -> None:
    """Else a slip of the pen would change its password."""
    SqlStore.open(postgres_url, 2).close()
    with pytest.raises(UsageError, match="postgres owns the tables"):
        grant(postgres_url, PREFIX, [read_login("postgres=owner")], {"postgres": "x"})


def test_shown_statements_hold_no_password(postgres_url: str) -> None:
    SqlStore.open(postgres_url, 2).close()
    login = read_login(f"{PREFIX}_worker=owner,relay")
    shown = grant(postgres_url, PREFIX, [login], {login.name: "topsecret"}, only_show=True)
    assert f"GRANT {PREFIX}_owner, {PREFIX}_relay TO {PREFIX}_worker" in shown.statements
    assert "topsecret" not in " ".join(shown.statements)
    assert "PASSWORD" not in " ".join(shown.statements)


def test_a_file_knows_no_roles(tmp_path: Any) -> None:
    with pytest.raises(SetupError, match="SQLite"):
        grant(f"sqlite:///{tmp_path}/store.db")
