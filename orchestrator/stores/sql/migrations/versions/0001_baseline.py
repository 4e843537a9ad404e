"""The first schema: partitions and progress, members, journal, contact log, inbox, outbox, counts, documents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ROOMY = {"fillfactor": "70"}
BY_TIME = "RANGE (at)"

# Keeps a piece of log and journal for each month, from the last one to `ahead` months from now, and one beside them for
# what lies in no such month (other clocks than the wall's). It runs with its owner's rights, so that workers need no
# right to make tables. Months are of UTC; bounds are microseconds since 1970.
MAKE_MONTHS = """
CREATE FUNCTION make_months(ahead int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month';
  last timestamp := date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead);
  made int := 0;
  tab text;
  piece text;
  since bigint;
  until bigint;
  strays boolean;
BEGIN
  IF to_regclass('log_' || to_char(last - make_interval(months => least(ahead, 3)), 'YYYY_MM')) IS NOT NULL
     AND to_regclass('journal_' || to_char(last - make_interval(months => least(ahead, 3)), 'YYYY_MM')) IS NOT NULL THEN
    RETURN 0;
  END IF;
  PERFORM pg_advisory_xact_lock(7264001);
  WHILE month <= last LOOP
    since := extract(epoch FROM month)::bigint * 1000000;
    until := extract(epoch FROM month + interval '1 month')::bigint * 1000000;
    FOREACH tab IN ARRAY ARRAY['log', 'journal'] LOOP
      piece := tab || '_' || to_char(month, 'YYYY_MM');
      EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE at >= %s AND at < %s)', tab || '_other', since, until)
        INTO strays;
      IF to_regclass(piece) IS NULL AND NOT strays THEN
        -- made beside it and then attached: that locks out nobody who writes
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS)', piece, tab);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', tab, piece, since, until);
        made := made + 1;
      END IF;
    END LOOP;
    month := month + interval '1 month';
  END LOOP;
  RETURN made;
END $$"""


def key_by_time(table: str, *names: str) -> sa.Constraint:
    """PostgreSQL wants the time to be part of the key of a table kept in pieces by time."""
    if op.get_bind().dialect.name == "postgresql":
        return sa.UniqueConstraint(*names, "at", name=op.f(f"uq_{table}"))
    return sa.PrimaryKeyConstraint(*names, name=op.f(f"pk_{table}"))


def make_vouchers() -> None:
    """Voucher codes, and what was told of their pools."""
    op.create_table(
        "vouchers",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("pool", TEXT, nullable=False),
        sa.Column("fingerprint", TEXT, nullable=False),
        sa.Column("code", sa.LargeBinary(), nullable=False),
        sa.Column("touch_id", TEXT, nullable=False),
        sa.Column("ref", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_vouchers")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_vouchers")),
        sqlite_autoincrement=True,
        postgresql_with=ROOMY,
    )
    for name, columns, where in (
        ("left", ["pool", "seq"], sa.text("touch_id = ''")),
        ("touch_id", ["touch_id"], sa.text("touch_id <> ''")),
        ("ref", ["ref"], sa.text("touch_id <> ''")),
    ):
        op.create_index(f"ix_vouchers_{name}", "vouchers", columns, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "pools",
        sa.Column("pool", TEXT, nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pool", name=op.f("pk_pools")),
    )


def upgrade() -> None:
    """Makes every table in an empty database."""
    on_postgres = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "cursors",
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("topic", TEXT, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "topic", name=op.f("pk_cursors")),
    )
    op.create_table(
        "daily",
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("day", TEXT, nullable=False),
        sa.Column("journey", TEXT, nullable=False),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("verdict", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "day", "journey", "channel", "verdict", "reason", name=op.f("pk_daily")),
    )
    op.create_table(
        "dead",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("cure", TEXT, nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_dead")),
    )
    op.create_index(op.f("ix_dead_partition_seq"), "dead", ["partition", "seq"], unique=False)
    op.create_table(
        "documents",
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_documents")),
    )
    op.create_table(
        "holders",
        sa.Column("contact", TEXT, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("member", sa.LargeBinary(), nullable=False),
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("contact", "n", name=op.f("pk_holders")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "inbox",
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("member", sa.LargeBinary(), nullable=False),
        sa.Column("input", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_inbox")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_inbox_partition_due_member_seq"), "inbox", ["partition", "due", "member", "seq"], unique=False
    )
    op.create_table(
        "journal",
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("i", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("member", sa.LargeBinary(), nullable=False),
        sa.Column("ref", TEXT, nullable=False),
        sa.Column("input", sa.LargeBinary(), nullable=False),
        key_by_time("journal", "partition", "turn", "i"),
        postgresql_partition_by=BY_TIME,
    )
    op.create_table(
        "keys",
        sa.Column("ref", TEXT, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("ref", name=op.f("pk_keys")),
    )
    op.create_table(
        "log",
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("ref", TEXT, nullable=False),
        sa.Column("journey", TEXT, nullable=False),
        sa.Column("step", TEXT, nullable=False),
        sa.Column("occurrence", TEXT, nullable=False),
        sa.Column("intent_id", TEXT, nullable=False),
        sa.Column("touch_id", TEXT, nullable=False),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("verdict", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("release_at", sa.BigInteger(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("revision", TEXT, nullable=False),
        sa.Column("trail", TEXT, nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        key_by_time("log", "partition", "n"),
        postgresql_partition_by=BY_TIME,
    )
    if on_postgres:
        op.create_index("ix_log_ref", "log", ["ref"])
        op.create_index("ix_log_journey_at", "log", ["journey", "at"])
        op.create_index("ix_log_intent_id", "log", ["intent_id"], postgresql_where=sa.text("intent_id <> ''"))
        op.create_index("ix_log_touch_id", "log", ["touch_id"], postgresql_where=sa.text("touch_id <> ''"))
    else:
        op.create_index("ix_log_span_ref", "log", [sa.text("(turn / 256)"), "ref"], unique=False)
    op.create_table(
        "members",
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("member", sa.LargeBinary(), nullable=False),
        sa.Column("ref", TEXT, nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("erased", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("member", name=op.f("pk_members")),
        postgresql_with=ROOMY,
    )
    op.create_table(
        "parked",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("member", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_parked")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_parked_member_seq"), "parked", ["member", "seq"], unique=False)
    op.create_table(
        "positions",
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("byte", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("content", "partition", name=op.f("pk_positions")),
    )
    op.create_table(
        "progress",
        sa.Column("partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("clock", sa.BigInteger(), nullable=False),
        sa.Column("log_n", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("backend", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("started", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("partition", name=op.f("pk_progress")),
    )
    op.create_table(
        "quarantine",
        sa.Column("member", sa.LargeBinary(), nullable=False),
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("member", name=op.f("pk_quarantine")),
    )
    op.create_table(
        "registries",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_registries")),
    )
    op.create_table(
        "seen",
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("identity", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "identity", name=op.f("pk_seen")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "shape",
        sa.Column("partitions", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("partitions", name=op.f("pk_shape")),
    )
    op.create_table(
        "suppressions",
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("subject", "channel", "purpose", name=op.f("pk_suppressions")),
    )
    op.create_table(
        "contacts",
        sa.Column("contact", TEXT, nullable=False),
        sa.Column("member", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("contact", "member", name=op.f("pk_contacts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "heard",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_heard")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_heard_day"), "heard", ["day"])
    op.create_table(
        "switches",
        sa.Column("scope", TEXT, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_switches")),
    )
    op.create_table(
        "totals",
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "name", name=op.f("pk_totals")),
    )
    op.create_table(
        "touches",
        sa.Column("touch_id", TEXT, nullable=False),
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("member", sa.LargeBinary(), nullable=False),
        sa.Column("ref", TEXT, nullable=False),
        sa.Column("intent_id", TEXT, nullable=False),
        sa.Column("journey", TEXT, nullable=False),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("contact", TEXT, nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("token", TEXT, nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("attempted_at", sa.BigInteger(), nullable=False),
        sa.Column("call_by", sa.BigInteger(), nullable=False),
        sa.Column("call_rule", TEXT, nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.CheckConstraint(
            "state IN ('reserved', 'claimed', 'attempting', 'accepted', 'rejected', 'unknown', 'cancelled')",
            name=op.f("ck_touches_state"),
        ),
        sa.PrimaryKeyConstraint("touch_id", name=op.f("pk_touches")),
        postgresql_with=ROOMY,
    )
    op.create_index(
        "ix_touches_in_flight",
        "touches",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("state IN ('claimed', 'attempting')"),
        postgresql_where=sa.text("state IN ('claimed', 'attempting')"),
    )
    op.create_index(
        op.f("ix_touches_member_state_attempted_at"), "touches", ["member", "state", "attempted_at"], unique=False
    )
    op.create_index(
        "ix_touches_reserved",
        "touches",
        ["rank", "due", "touch_id"],
        unique=False,
        sqlite_where=sa.text("state = 'reserved'"),
        postgresql_where=sa.text("state = 'reserved'"),
    )
    op.create_index(
        "ix_touches_waiting",
        "touches",
        ["contact"],
        unique=False,
        sqlite_where=sa.text("state IN ('reserved', 'claimed')"),
        postgresql_where=sa.text("state IN ('reserved', 'claimed')"),
    )
    op.create_table(
        "tries",
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "offset", name=op.f("pk_tries")),
    )
    make_vouchers()
    op.create_table(
        "listed",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("contact", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["name"],
            ["registries.name"],
        ),
        sa.PrimaryKeyConstraint("name", "contact", name=op.f("pk_listed")),
        sqlite_with_rowid=False,
    )
    if on_postgres:
        op.create_index(
            "ix_touches_one_in_flight",
            "touches",
            ["member"],
            unique=True,
            postgresql_where=sa.text("state IN ('claimed', 'attempting')"),
        )
        for table in ("log", "journal"):
            op.execute(f"CREATE TABLE {table}_other PARTITION OF {table} DEFAULT")
        op.execute(MAKE_MONTHS)
        op.execute("REVOKE EXECUTE ON FUNCTION make_months FROM PUBLIC")
        op.execute("SELECT make_months(12)")
