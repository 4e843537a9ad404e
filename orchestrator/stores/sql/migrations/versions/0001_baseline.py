"""The first schema: partitions and progress, members, journal, contact log, inbox, outbox, counts, documents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes every table in an empty database."""
    op.create_table(
        "cursors",
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "topic", name=op.f("pk_cursors")),
    )
    op.create_table(
        "daily",
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("journey", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "journey", "channel", "verdict", "reason", name=op.f("pk_daily")),
    )
    op.create_table(
        "dead",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("cure", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_dead")),
    )
    op.create_index(op.f("ix_dead_partition_offset_seq"), "dead", ["partition", "offset", "seq"], unique=False)
    op.create_table(
        "documents",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_documents")),
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
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("member", sa.LargeBinary(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("input", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "turn", "i", name=op.f("pk_journal")),
    )
    op.create_table(
        "keys",
        sa.Column("ref", sa.Text(), nullable=False),
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
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("journey", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("occurrence", sa.Text(), nullable=False),
        sa.Column("intent_id", sa.Text(), nullable=False),
        sa.Column("touch_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("release_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("trail", sa.Text(), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "n", name=op.f("pk_log")),
    )
    op.create_index("ix_log_span_ref", "log", [sa.text("(turn / 256)"), "ref"], unique=False)
    op.create_table(
        "members",
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("member", sa.LargeBinary(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("erased", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("member", name=op.f("pk_members")),
    )
    op.create_table(
        "parked",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("member", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
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
        sa.Column("source", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("partition", name=op.f("pk_progress")),
    )
    op.create_table(
        "quarantine",
        sa.Column("member", sa.LargeBinary(), nullable=False),
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("member", name=op.f("pk_quarantine")),
    )
    op.create_table(
        "registries",
        sa.Column("name", sa.Text(), nullable=False),
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
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "channel", "purpose", name=op.f("pk_suppressions")),
    )
    op.create_table(
        "switches",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_switches")),
    )
    op.create_table(
        "totals",
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "name", name=op.f("pk_totals")),
    )
    op.create_table(
        "touches",
        sa.Column("touch_id", sa.Text(), nullable=False),
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("member", sa.LargeBinary(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("intent_id", sa.Text(), nullable=False),
        sa.Column("journey", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("attempted_at", sa.BigInteger(), nullable=False),
        sa.Column("call_by", sa.BigInteger(), nullable=False),
        sa.Column("call_rule", sa.Text(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "state IN ('reserved', 'claimed', 'attempting', 'accepted', 'rejected', 'unknown', 'cancelled')",
            name=op.f("ck_touches_state"),
        ),
        sa.PrimaryKeyConstraint("touch_id", name=op.f("pk_touches")),
    )
    op.create_index(
        "ix_touches_in_flight",
        "touches",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("state IN ('claimed', 'attempting')"),
        postgresql_where=sa.text("state IN ('claimed', 'attempting')"),
    )
    op.create_index(op.f("ix_touches_member_state"), "touches", ["member", "state"], unique=False)
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
    op.create_table(
        "listed",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["name"],
            ["registries.name"],
        ),
        sa.PrimaryKeyConstraint("name", "contact", name=op.f("pk_listed")),
        sqlite_with_rowid=False,
    )
