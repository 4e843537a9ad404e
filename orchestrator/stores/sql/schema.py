"""The tables, declared once. Columns of a row stand in the order of its named tuple in `stores.contract`.

Instants are whole microseconds since 1970. Keys and indexes are chosen so that a batch costs the same however long the
history is: whatever the hot path scans is bounded by what is live, never by what is finished.

Where the dialects differ, both stand here: PostgreSQL keeps log and journal in pieces by time (so that the past can be
put away by the piece), has a writer more than one, and serves auditors beside the workers.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Constraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

# the migration that leads here; a test proves that it does
HEAD = "0001"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "uq": "uq_%(table_name)s",
    }
)

# turns of a partition that share a span of the log's index by member
SPAN_TURNS = 256

# SQLite numbers rows by itself only where the key is declared INTEGER
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")
# the order of characters by number, whatever language the database was made for: so do Python and SQLite
TEXT = Text().with_variant(Text(collation="C"), "postgresql")
# rows that are changed often find room beside themselves
_ROOMY = {"fillfactor": "70"}
_BY_TIME = "RANGE (at)"


def _words(*names: str) -> list[Column[str]]:
    return [Column(name, TEXT, nullable=False) for name in names]


def _key_by_time(*names: str) -> tuple[Constraint, Constraint]:
    """The key of a table kept in pieces by time, which PostgreSQL wants to be part of it.

    That no two rows differ in the time alone is by construction: they are numbered under the guarded progress.
    """
    return (
        PrimaryKeyConstraint(*names).ddl_if(dialect="sqlite"),
        UniqueConstraint(*names, "at").ddl_if(dialect="postgresql"),
    )


def _numbers(*names: str) -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False) for name in names]


def _bytes(*names: str) -> list[Column[bytes]]:
    return [Column(name, LargeBinary, nullable=False) for name in names]


def _sequence() -> Column[int]:
    return Column("seq", _SEQUENCE, primary_key=True, autoincrement=True)


# one row: what does not change on a living store
shape = Table("shape", metadata, Column("partitions", BigInteger, primary_key=True, autoincrement=False))

progress = Table(
    "progress",
    metadata,
    Column("partition", BigInteger, primary_key=True, autoincrement=False),
    *_numbers("epoch", "next_offset", "turn", "clock", "log_n"),
    *_bytes("head"),
    # the log that feeds it (cluster and topic id); empty until one is named
    *_words("source"),
    # PostgreSQL: the session that writes it, and the moment that began; whoever takes the partition ends it
    Column("backend", BigInteger, nullable=False, server_default="0"),
    Column("started", BigInteger, nullable=False, server_default="0"),
)

# rowid tables with a narrow unique key: a wide row in the key's own tree would make every look-up read more pages
members = Table(
    "members",
    metadata,
    *_numbers("partition"),
    *_bytes("member"),
    *_words("ref"),
    *_bytes("state"),
    Column("erased", Boolean, nullable=False),
    PrimaryKeyConstraint("member"),
    postgresql_with=_ROOMY,
)

keys = Table("keys", metadata, *_words("ref"), *_bytes("wrapped"), PrimaryKeyConstraint("ref"))

journal = Table(
    "journal",
    metadata,
    *_numbers("partition", "turn", "i", "at"),
    *_words("kind"),
    *_numbers("offset"),
    *_bytes("member"),
    *_words("ref"),
    *_bytes("input"),
    *_key_by_time("partition", "turn", "i"),
    postgresql_partition_by=_BY_TIME,
)

# narrow and found by its key alone: the key's tree is the table
seen = Table(
    "seen",
    metadata,
    *_numbers("bucket"),
    *_bytes("identity", "content"),
    PrimaryKeyConstraint("bucket", "identity"),
    sqlite_with_rowid=False,
)

log = Table(
    "log",
    metadata,
    *_numbers("partition", "n", "turn", "at", "occurred_at", "valid_until"),
    *_words("kind", "ref", "journey", "step", "occurrence", "intent_id", "touch_id", "channel", "purpose"),
    *_words("verdict", "reason"),
    *_numbers("release_at"),
    *_words("state", "revision", "trail"),
    *_bytes("prev_hash", "hash"),
    *_key_by_time("partition", "n"),
    # one member's rows: references are random, so an index by reference alone would dirty a page for each entry; within
    # a span of turns they lie together, and a reader asks every span (a few hundred for a million entries)
    Index("ix_log_span_ref", text(f"(turn / {SPAN_TURNS})"), "ref").ddl_if(dialect="sqlite"),
    # what auditors ask for: all of a member's, a journey's in some days, an intent's, a touch's
    Index("ix_log_ref", "ref").ddl_if(dialect="postgresql"),
    Index("ix_log_journey_at", "journey", "at").ddl_if(dialect="postgresql"),
    Index("ix_log_intent_id", "intent_id", postgresql_where=text("intent_id <> ''")).ddl_if(dialect="postgresql"),
    Index("ix_log_touch_id", "touch_id", postgresql_where=text("touch_id <> ''")).ddl_if(dialect="postgresql"),
    postgresql_partition_by=_BY_TIME,
)

inbox = Table(
    "inbox",
    metadata,
    *_numbers("partition"),
    _sequence(),
    *_numbers("due"),
    *_bytes("member", "input"),
    Index(None, "partition", "due", "member", "seq"),
    # a number is never given twice, also after the newest row was consumed
    sqlite_autoincrement=True,
)

touches = Table(
    "touches",
    metadata,
    *_words("touch_id"),
    *_numbers("partition"),
    *_bytes("member"),
    *_words("ref", "intent_id", "journey", "channel", "purpose", "contact"),
    *_numbers("rank", "due", "valid_until"),
    *_words("state", "token"),
    *_numbers("lease_until", "attempts", "attempted_at", "call_by"),
    *_words("call_rule"),
    *_bytes("message"),
    *_words("account"),
    PrimaryKeyConstraint("touch_id"),
    CheckConstraint(
        "state IN ('reserved', 'claimed', 'attempting', 'accepted', 'rejected', 'unknown', 'cancelled')",
        name="state",
    ),
    # what is live of a member's, and what was attempted lately
    Index(None, "member", "state", "attempted_at"),
    postgresql_with=_ROOMY,
)
# the outbox proper: rows leave these when their touch is settled
_RESERVED = text("state = 'reserved'")
_WAITING = text("state IN ('reserved', 'claimed')")
_IN_FLIGHT = text("state IN ('claimed', 'attempting')")
# in the order of claiming
Index(
    "ix_touches_reserved",
    touches.c.rank,
    touches.c.due,
    touches.c.touch_id,
    sqlite_where=_RESERVED,
    postgresql_where=_RESERVED,
)
# what a suppression of a contact point covers
Index("ix_touches_waiting", touches.c.contact, sqlite_where=_WAITING, postgresql_where=_WAITING)
# leases to look after
Index("ix_touches_in_flight", touches.c.lease_until, sqlite_where=_IN_FLIGHT, postgresql_where=_IN_FLIGHT)
# at most one of a member's, were two dispatchers ever to disagree; SQLite lets one at a time ask
Index("ix_touches_one_in_flight", touches.c.member, unique=True, postgresql_where=_IN_FLIGHT).ddl_if(
    dialect="postgresql"
)

# who has each contact point, or had it: one row for most. Whoever counts what
# reached one, or adds to it, locks its first row
holders = Table(
    "holders",
    metadata,
    *_words("contact"),
    *_numbers("n"),
    *_bytes("member"),
    *_numbers("partition"),
    PrimaryKeyConstraint("contact", "n"),
    sqlite_with_rowid=False,
)

suppressions = Table(
    "suppressions",
    metadata,
    *_words("subject", "channel", "purpose"),
    *_numbers("since"),
    *_words("reason"),
    PrimaryKeyConstraint("subject", "channel", "purpose"),
)

# narrow and found by its key alone, as `seen`
contacts = Table(
    "contacts",
    metadata,
    *_words("contact"),
    *_bytes("member"),
    PrimaryKeyConstraint("contact", "member"),
    sqlite_with_rowid=False,
)

heard = Table(
    "heard",
    metadata,
    *_bytes("key"),
    *_numbers("day"),
    PrimaryKeyConstraint("key"),
    Index(None, "day"),
    sqlite_with_rowid=False,
)

switches = Table(
    "switches", metadata, *_words("scope"), *_numbers("since"), *_words("actor"), PrimaryKeyConstraint("scope")
)

dead = Table(
    "dead",
    metadata,
    _sequence(),
    *_numbers("partition", "offset", "at"),
    *_words("reason", "cure"),
    *_bytes("raw"),
    Index(None, "partition", "seq"),
)

parked = Table(
    "parked",
    metadata,
    _sequence(),
    *_numbers("partition", "offset"),
    *_bytes("member"),
    *_numbers("at"),
    *_words("kind"),
    *_bytes("raw"),
    Index(None, "member", "seq"),
    sqlite_autoincrement=True,
)

quarantine = Table(
    "quarantine",
    metadata,
    *_bytes("member"),
    *_numbers("partition"),
    *_words("reason"),
    PrimaryKeyConstraint("member"),
)

tries = Table("tries", metadata, *_numbers("partition", "offset", "tries"), PrimaryKeyConstraint("partition", "offset"))

totals = Table(
    "totals",
    metadata,
    *_numbers("partition"),
    *_words("name"),
    *_numbers("count"),
    PrimaryKeyConstraint("partition", "name"),
)

daily = Table(
    "daily",
    metadata,
    # one of the batch's: so batches of different workers never wait for each other's counts
    *_numbers("partition"),
    *_words("day", "journey", "channel", "verdict", "reason"),
    *_numbers("count"),
    PrimaryKeyConstraint("partition", "day", "journey", "channel", "verdict", "reason"),
)

# Voucher codes of all pools, numbered in the order in which they are given. A code that a touch carries names it, and
# its member's reference; an erased member's is emptied, and stays given
vouchers = Table(
    "vouchers",
    metadata,
    _sequence(),
    *_words("pool", "fingerprint"),
    *_bytes("code"),
    *_words("touch_id", "ref"),
    UniqueConstraint("fingerprint"),
    sqlite_autoincrement=True,
    postgresql_with=_ROOMY,
)
_LEFT = text("touch_id = ''")
_GIVEN = text("touch_id <> ''")
Index("ix_vouchers_left", vouchers.c.pool, vouchers.c.seq, sqlite_where=_LEFT, postgresql_where=_LEFT)
Index("ix_vouchers_touch_id", vouchers.c.touch_id, sqlite_where=_GIVEN, postgresql_where=_GIVEN)
Index("ix_vouchers_ref", vouchers.c.ref, sqlite_where=_GIVEN, postgresql_where=_GIVEN)

# what an operator heard of each pool since it was last filled
pools = Table("pools", metadata, *_words("pool"), *_numbers("told"), PrimaryKeyConstraint("pool"))

# how far each chain was told to a topic
cursors = Table(
    "cursors",
    metadata,
    *_numbers("partition"),
    *_words("topic"),
    *_numbers("n"),
    PrimaryKeyConstraint("partition", "topic"),
)

positions = Table(
    "positions",
    metadata,
    *_bytes("content"),
    *_numbers("length", "partition", "byte"),
    PrimaryKeyConstraint("content", "partition"),
)

documents = Table("documents", metadata, *_words("kind", "name"), *_bytes("body"), PrimaryKeyConstraint("kind", "name"))

registries = Table("registries", metadata, *_words("name"), *_numbers("checked_at"), PrimaryKeyConstraint("name"))

listed = Table(
    "listed",
    metadata,
    Column("name", TEXT, ForeignKey("registries.name"), nullable=False),
    *_words("contact"),
    PrimaryKeyConstraint("name", "contact"),
    sqlite_with_rowid=False,
)
