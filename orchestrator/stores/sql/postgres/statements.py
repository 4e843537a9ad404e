"""The hot path in PostgreSQL's own words.

Rows travel by column: `unnest` of one binary array a column, which can be sent along with what comes before and after
it; COPY can't. `%b` asks for binary, `%s` leaves it to the driver.

Every list of rows to be changed is locked in the order of its key, so that two sessions seldom meet crosswise; where
they do, the server ends one of them and it is tried again.
"""

# ruff: noqa: S608 - statements are put together from names of this file alone; values travel as parameters

from __future__ import annotations

from typing import NamedTuple, get_type_hints

from orchestrator.stores.contract import (
    ContactRow,
    DeadRow,
    FilePosition,
    HeardRow,
    HolderRow,
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
    SuppressionRow,
    SwitchRow,
    TouchRow,
    VoucherGiven,
    VoucherRow,
)
from orchestrator.stores.sql.statements import quoted

# PostgreSQL's name of a column's type, by that of its field
_TYPES = {int: "int8", str: "text", bytes: "bytea", bool: "bool"}


class Columns(NamedTuple):
    """A table's columns as rows bring them."""

    table: str
    names: tuple[str, ...]
    types: tuple[str, ...]

    @property
    def rows(self) -> str:
        """The rows of one array a column."""
        return f"unnest({', '.join(f'%b::{each}[]' for each in self.types)}) AS given({quoted(self.names)})"


def _columns(table: str, row: type) -> Columns:
    kinds = get_type_hints(row)
    return Columns(table, tuple(kinds), tuple(_TYPES[kind] for kind in kinds.values()))


MEMBERS = _columns("members", MemberRow)
KEYS = _columns("keys", KeyRow)
JOURNAL = _columns("journal", JournalRow)
SEEN = _columns("seen", SeenRow)
LOG = _columns("log", LogRow)
INBOX = _columns("inbox", NewInbox)
TOUCHES = _columns("touches", TouchRow)
CONTACTS = _columns("contacts", ContactRow)
HEARD = _columns("heard", HeardRow)
HOLDERS = _columns("holders", HolderRow)
DEAD = _columns("dead", DeadRow)
PARKED = _columns("parked", ParkedRow)
QUARANTINE = _columns("quarantine", QuarantineRow)
POSITIONS = _columns("positions", FilePosition)
VOUCHERS = _columns("vouchers", VoucherGiven)
TOTALS = Columns("totals", ("partition", "name", "count"), ("int8", "text", "int8"))
DAILY = Columns(
    "daily", ("partition", "day", "journey", "channel", "verdict", "reason", "count"), ("int8", *["text"] * 5, "int8")
)


def _upsert(columns: Columns, key: str, where: str = "") -> str:
    """The later row wins; a key stands once among the rows given."""
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in columns.names if name not in key.split(", "))
    return (
        f"INSERT INTO {columns.table} ({quoted(columns.names)}) SELECT * FROM {columns.rows} ORDER BY {key} "
        f"ON CONFLICT ({key}) DO UPDATE SET {changes}{where}"
    )


def _insert(columns: Columns) -> str:
    """In the order given, none of which may be there."""
    return f"INSERT INTO {columns.table} ({quoted(columns.names)}) SELECT * FROM {columns.rows}"


def _add(columns: Columns) -> str:
    key = quoted(columns.names[:-1])
    return (
        f"INSERT INTO {columns.table} SELECT * FROM {columns.rows} ORDER BY {key} "
        f"ON CONFLICT ({key}) DO UPDATE SET count = {columns.table}.count + excluded.count"
    )


_TOUCH = ", ".join(f"touches.{name}" for name in TouchRow._fields)
# the message stays out where only the touch's standing is asked for: nothing large is sent while rows are locked, since
# a server that waits for its client to read holds on to them
BRIEF = ", ".join("''::bytea AS message" if name == "message" else f"touches.{name}" for name in TouchRow._fields)
_KEPT = {"touch_id", "attempts", "attempted_at", "account"}
_RESERVE_ANEW = ", ".join(f"{name} = excluded.{name}" for name in TouchRow._fields if name not in _KEPT)
_COVERS = """s.subject IN (touches.contact, encode(touches.member, 'hex'))
          AND s.channel IN (touches.channel, '*') AND s.purpose IN (touches.purpose, '*')"""
_STOPPED = f"""
  EXISTS (SELECT FROM suppressions AS s WHERE {_COVERS})
  OR EXISTS (SELECT FROM switches
             WHERE scope IN ('all', 'channel:' || touches.channel, 'journey:' || touches.journey))"""
_MICROS = "(extract(epoch FROM {}) * 1000000)::int8"
# the server's own time
_SERVERS = _MICROS.format("clock_timestamp()")
CLOCK = f"SELECT {_SERVERS}"
# now, or where none is given the clock of the touch's own partition
_PARTITIONS = "(SELECT clock FROM progress WHERE progress.partition = touches.partition)"
_CLOCK = f"coalesce(%s::int8, {_PARTITIONS})"
_AT = f"coalesce(moment.at, {_PARTITIONS})"
# Literal states: an index over some states serves only a statement that names them. Where rows are found by their ids,
# `state || ''` keeps the planner from walking through such an index instead.
_IN_FLIGHT = """EXISTS (SELECT FROM touches AS other
  WHERE other.member = touches.member AND other.state IN ('claimed', 'attempting'))"""

# --- a partition is taken
# a session is known by its process and the moment it began: numbers of processes come again
SESSION = f"SELECT pid::int8, {_MICROS.format('backend_start')} FROM pg_stat_activity WHERE pid = pg_backend_pid()"
# process and start of the one who asks; partitions
END_FORMER = f"""
SELECT pg_terminate_backend(former.pid) FROM (
  SELECT DISTINCT activity.pid FROM progress JOIN pg_stat_activity AS activity ON activity.pid = progress.backend
   WHERE progress.partition = ANY(%b::int8[]) AND {_MICROS.format("activity.backend_start")} = progress.started
     AND activity.pid <> %s) AS former"""
# one process, and when it began
END_SESSION = (
    f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND {_MICROS.format('backend_start')} = %s"
)
# partitions, source, process, start. A statement alone: no client stands between the lock and the commit. A partition
# that was fed from another log has no place to write its source to, so that none of them is taken.
TAKE = f"""
INSERT INTO progress ({quoted(Progress._fields)}, source, backend, started)
SELECT number, 1, 0, 0, 0, 0, decode(repeat('00', 32), 'hex'), %s, %s::int8, %s::int8
  FROM unnest(%b::int8[]) AS number ORDER BY number
ON CONFLICT (partition) DO UPDATE SET epoch = progress.epoch + 1,
  source = CASE WHEN excluded.source = '' OR progress.source = excluded.source THEN progress.source
                WHEN progress.source = '' THEN excluded.source END,
  backend = excluded.backend, started = excluded.started
RETURNING {", ".join(f"progress.{name}" for name in Progress._fields)}"""
SOURCES = "SELECT partition, source FROM progress WHERE partition = ANY(%b::int8[])"
# process, start, partitions, epochs: a writer that opened a new session. A statement alone, as above
NAME_SESSION = """
UPDATE progress SET backend = %s, started = %s FROM unnest(%b::int8[], %b::int8[]) AS mine(partition, epoch)
 WHERE progress.partition = mine.partition AND progress.epoch = mine.epoch"""
FATE = "SELECT pg_xact_status(%s::text::xid8)"
# empty for one that wrote nothing
NUMBER = "SELECT pg_current_xact_id_if_assigned()::text"
MORE_MONTHS = "SELECT make_months(12)"

# --- a batch reads
# partitions, epochs, offsets, turns; gives the partitions locked, and the transaction's number
GUARD = """
SELECT progress.partition, pg_current_xact_id()::text
  FROM unnest(%b::int8[], %b::int8[], %b::int8[], %b::int8[]) AS mine(partition, epoch, next_offset, turn)
  JOIN progress ON progress.partition = mine.partition AND progress.epoch = mine.epoch
                AND progress.next_offset = mine.next_offset AND progress.turn = mine.turn
 ORDER BY progress.partition FOR UPDATE OF progress"""
MEMBERS_OF = f"SELECT {quoted(MemberRow._fields)} FROM members WHERE member = ANY(%b::bytea[])"
KEYS_OF = "SELECT ref, wrapped FROM keys WHERE ref = ANY(%b::text[])"
# members: the keys of those who are not erased
KEYS_OF_MEMBERS = """
SELECT keys.ref, keys.wrapped FROM members JOIN keys ON keys.ref = members.ref
 WHERE members.member = ANY(%b::bytea[]) AND NOT members.erased"""
# buckets, identities
SEEN_OF = "SELECT identity, content FROM seen WHERE bucket = ANY(%b::int8[]) AND identity = ANY(%b::bytea[])"
# partitions, until, limit
DUE = f"""
SELECT waiting.* FROM unnest(%b::int8[], %b::int8[]) AS queue(partition, until) CROSS JOIN LATERAL (
  SELECT {quoted(InboxRow._fields)} FROM inbox WHERE inbox.partition = queue.partition AND due <= queue.until
   ORDER BY due, member, seq LIMIT %s) AS waiting"""
# partition, due, number, limit
HELD = f"""
SELECT {quoted(InboxRow._fields)} FROM inbox WHERE partition = %s AND due = %s AND seq > %s ORDER BY seq LIMIT %s"""
# member, partition, limit
MEMBERS_AFTER = """
SELECT member FROM members WHERE member > %b::bytea AND partition = %s AND NOT erased ORDER BY member LIMIT %s"""
SWITCHES = f"SELECT {quoted(SwitchRow._fields)} FROM switches ORDER BY scope"
REGISTRIES_OF = "SELECT name, checked_at FROM registries WHERE name = ANY(%b::text[])"
# there are a handful
REGISTRIES = "SELECT name, checked_at FROM registries"
# names, contacts, side by side
LISTED_OF = """
SELECT name, contact FROM listed WHERE (name, contact) IN (SELECT * FROM unnest(%b::text[], %b::text[]))"""
ANY_QUARANTINED = "SELECT 1 FROM quarantine LIMIT 1"
QUARANTINED_OF = "SELECT member FROM quarantine WHERE member = ANY(%b::bytea[])"
PARKED_OF = f"SELECT {quoted(ParkedRow._fields)} FROM parked WHERE member = %b::bytea ORDER BY seq"
# the rows stay locked until the batch ends
TOUCH_STATES = "SELECT touch_id, state FROM touches WHERE touch_id = ANY(%b::text[]) ORDER BY touch_id FOR UPDATE"
SUPPRESSIONS_OF = f"SELECT {quoted(SuppressionRow._fields)} FROM suppressions WHERE subject = ANY(%b::text[])"

FIRST_HOLDERS = (
    f"INSERT INTO holders ({quoted(HolderRow._fields)}) SELECT * FROM {HOLDERS.rows} ORDER BY contact "
    "ON CONFLICT (contact, n) DO NOTHING"
)
# the rows stay locked until the batch ends
LOCK_CONTACTS = "SELECT contact FROM holders WHERE contact = ANY(%b::text[]) AND n = 0 ORDER BY contact FOR UPDATE"
HOLDERS_OF = f"SELECT {quoted(HolderRow._fields)} FROM holders WHERE contact = ANY(%b::text[])"
# since, contacts
REACHED = """
SELECT holders.contact, there.* FROM holders CROSS JOIN LATERAL (
  SELECT member, touch_id, channel, purpose, journey, attempted_at FROM touches
   WHERE touches.member = holders.member AND touches.contact = holders.contact
     AND state IN ('accepted', 'unknown') AND attempted_at >= %s
  UNION ALL
  SELECT member, touch_id, channel, purpose, journey, 0 FROM touches
   WHERE touches.member = holders.member AND touches.contact = holders.contact
     AND state IN ('reserved', 'claimed', 'attempting')) AS there
 WHERE holders.contact = ANY(%b::text[])"""

_LEFT = f"SELECT {quoted(VoucherRow._fields)} FROM vouchers WHERE pool = %s AND touch_id = ''"
# pool, number, limit. Codes that another session holds are passed over: no lock on a code is ever waited for
VOUCHERS_AFTER = f"{_LEFT} AND seq > %s ORDER BY seq LIMIT %s FOR UPDATE SKIP LOCKED"
# pool, numbers, limit: those that this session holds are no news
VOUCHERS_LEFT = f"{_LEFT} AND seq <> ALL(%b::int8[]) ORDER BY seq LIMIT %s FOR UPDATE SKIP LOCKED"
# pool, limit, pool
POOL = """
SELECT (SELECT count(*) FROM (SELECT FROM vouchers WHERE pool = %s AND touch_id = '' LIMIT %s) AS there),
       coalesce((SELECT told FROM pools WHERE pool = %s), 0)"""

# --- a batch writes
# offset, turn, clock, log_n, head after; then partition, epoch, offset, turn before
ADVANCE = """
UPDATE progress SET next_offset = given.next_offset, turn = given.turn, clock = given.clock, log_n = given.log_n,
       head = given.head
  FROM unnest(%b::int8[], %b::int8[], %b::int8[], %b::int8[], %b::bytea[], %b::int8[], %b::int8[], %b::int8[],
              %b::int8[])
       AS given(next_offset, turn, clock, log_n, head, partition, epoch, offset_before, turn_before)
 WHERE progress.partition = given.partition AND progress.epoch = given.epoch
   AND progress.next_offset = given.offset_before AND progress.turn = given.turn_before
RETURNING progress.partition"""
PUT_MEMBERS = _upsert(MEMBERS, "member")
PUT_KEYS = _upsert(KEYS, "ref")
ADD_JOURNAL = _insert(JOURNAL)
ADD_SEEN = _insert(SEEN)
ADD_LOG = _insert(LOG)
ADD_INBOX = _insert(INBOX)
ADD_HOLDERS = _insert(HOLDERS)
ADD_DEAD = _insert(DEAD)
PARK = _insert(PARKED)
DESTROY_KEYS = "DELETE FROM keys WHERE ref = ANY(%b::text[])"
# partitions, seqs
CONSUME = """
DELETE FROM inbox USING unnest(%b::int8[], %b::int8[]) AS given(partition, seq)
 WHERE inbox.seq = given.seq AND inbox.partition = given.partition"""
RESERVE = (
    f"INSERT INTO touches ({quoted(TouchRow._fields)}) SELECT * FROM {TOUCHES.rows} ORDER BY touch_id "
    f"ON CONFLICT (touch_id) DO UPDATE SET {_RESERVE_ANEW} WHERE touches.state = 'cancelled'"
)
CANCEL = """
UPDATE touches SET state = 'cancelled', token = '', lease_until = 0
 WHERE state || '' IN ('reserved', 'claimed') AND touch_id = ANY(ARRAY(
   SELECT touch_id FROM touches WHERE touch_id = ANY(%b::text[]) AND state || '' IN ('reserved', 'claimed')
    ORDER BY touch_id FOR UPDATE))"""
# ids; only the owner of a touch gives its code back, so nobody else holds these rows
CODES_BACK = """
UPDATE vouchers SET touch_id = '', ref = '' WHERE touch_id <> '' AND touch_id = ANY(%b::text[]) AND code <> ''
   AND EXISTS (SELECT FROM touches
                WHERE touches.touch_id = vouchers.touch_id AND state || '' = 'cancelled' AND attempts = 0)"""
GIVE_VOUCHERS = f"""
UPDATE vouchers SET touch_id = given.touch_id, ref = given.ref FROM {VOUCHERS.rows}
 WHERE vouchers.seq = given.seq AND vouchers.touch_id = ''
RETURNING vouchers.seq"""
EMPTY_VOUCHERS = "UPDATE vouchers SET code = '' WHERE touch_id <> '' AND ref = ANY(%b::text[])"
# pools, told
TELL_POOLS = """
INSERT INTO pools SELECT * FROM unnest(%b::text[], %b::int8[]) AS given(pool, told) ORDER BY pool
ON CONFLICT (pool) DO UPDATE SET told = greatest(pools.told, excluded.told)"""
# one at a time loads codes
ONE_LOADS = "SELECT pg_advisory_xact_lock(7264002)"
# subjects, channels, purposes, instants
END_SUPPRESSIONS = """
DELETE FROM suppressions AS s
 USING unnest(%b::text[], %b::text[], %b::text[], %b::int8[]) AS given(subject, channel, purpose, until)
 WHERE s.subject = given.subject AND s.channel = given.channel AND s.purpose = given.purpose
   AND s.since <= given.until"""
# ids; gives each of them that is reserved, beside each suppression that covers it
RESERVED_UNDER = f"""
SELECT {BRIEF}, {", ".join(f"s.{name}" for name in SuppressionRow._fields)}
  FROM touches JOIN suppressions AS s ON {_COVERS}
 WHERE touches.touch_id = ANY(%b::text[]) AND touches.state || '' = 'reserved'"""
END_QUARANTINE = "DELETE FROM quarantine WHERE member = ANY(%b::bytea[])"
UNPARK = "DELETE FROM parked WHERE member = ANY(%b::bytea[])"
PUT_QUARANTINE = _upsert(QUARANTINE, "member")
PUT_POSITIONS = _upsert(POSITIONS, "content, partition")
ADD_TOTALS = _add(TOTALS)
ADD_DAILY = _add(DAILY)

LEAVE_CONTACTS = f"""
DELETE FROM contacts USING {CONTACTS.rows}
 WHERE contacts.contact = given.contact AND contacts.member = given.member"""
PUT_CONTACTS = f"INSERT INTO contacts SELECT * FROM {CONTACTS.rows} ORDER BY contact, member ON CONFLICT DO NOTHING"

# --- what is heard from outside
# gives those that were not heard before
HEAR = f"INSERT INTO heard SELECT * FROM {HEARD.rows} ORDER BY key ON CONFLICT DO NOTHING RETURNING key"
# day: all heard before it, but for what another session is forgetting at this moment
FORGET_HEARD = """
DELETE FROM heard WHERE key = ANY(ARRAY(SELECT key FROM heard WHERE day < %s FOR UPDATE SKIP LOCKED LIMIT 1000))"""

# --- opting out
PUT_SUPPRESSION = (
    f"INSERT INTO suppressions ({quoted(SuppressionRow._fields)}) VALUES (%s, %s, %s, %s, %s) "
    "ON CONFLICT (subject, channel, purpose) DO UPDATE SET since = excluded.since, reason = excluded.reason "
    "WHERE excluded.since > suppressions.since"
)
# by contact point: subject, channel twice, purpose twice; by member: the same with the member's hash; then subject,
# channel, purpose: only while it stands. Gives the touches that it cancelled
_COVERED = """SELECT touch_id FROM touches WHERE state IN ('reserved', 'claimed') AND {found}
        AND (%s = '*' OR %s = channel) AND (%s = '*' OR %s = purpose)"""
CANCEL_COVERED = f"""
UPDATE touches SET state = 'cancelled', token = '', lease_until = 0
 WHERE state || '' IN ('reserved', 'claimed') AND touch_id = ANY(ARRAY(
   SELECT touch_id FROM touches WHERE state || '' IN ('reserved', 'claimed') AND touch_id = ANY(ARRAY(
      {_COVERED.format(found="contact = %s")}
      UNION ALL
      {_COVERED.format(found="member = %b::bytea")}))
    ORDER BY touch_id FOR UPDATE))
   AND EXISTS (SELECT FROM suppressions AS s WHERE s.subject = %s AND s.channel = %s AND s.purpose = %s)
RETURNING {BRIEF}"""

# --- the dispatcher's side
# the commit of this transaction does not wait for the disk; gives the time
NOT_LASTING = f"SELECT {_SERVERS} FROM set_config('synchronous_commit', 'off', true)"
# now: lapsed claims go back; those that somebody is just changing are left to them
GIVE_BACK = f"""
UPDATE touches SET state = 'reserved', token = '', lease_until = 0 WHERE touch_id = ANY(ARRAY(
  SELECT touch_id FROM touches
   WHERE state IN ('claimed', 'attempting') AND state <> 'attempting' AND lease_until < {_CLOCK}
   FOR UPDATE OF touches SKIP LOCKED)) AND state || '' = 'claimed'"""
ALL_STOPPED = "SELECT 1 FROM switches WHERE scope = 'all'"
LATEST_CLOCK = "SELECT coalesce(max(clock), 0) FROM progress"
# one look at the head of each rank's queue
RANKS = """
WITH RECURSIVE ranks (rank) AS (
  (SELECT rank FROM touches WHERE state = 'reserved' ORDER BY rank LIMIT 1)
  UNION ALL
  SELECT (SELECT touches.rank FROM touches WHERE state = 'reserved' AND touches.rank > ranks.rank
           ORDER BY touches.rank LIMIT 1) FROM ranks WHERE ranks.rank IS NOT NULL)
SELECT rank FROM ranks WHERE rank IS NOT NULL"""
# One NOT over all that stands in the way: each becomes a look-up for one candidate, in the order of the queue, and what
# lies beyond the limit is never looked at.
# rank, the latest clock, now, now, channel, channel, members seen already, limit. Gives id, member, and whether this
# transaction now holds the member's lock: it is only tried for, so that nobody waits here
CLAIMABLE = f"""
WITH free AS MATERIALIZED (
  SELECT touch_id, member, due FROM touches
   WHERE state = 'reserved' AND rank = %s AND due <= %s AND due <= {_CLOCK} AND valid_until > {_CLOCK}
     AND (%s = '' OR %s = channel) AND member <> ALL(%b::bytea[])
     AND NOT ({_IN_FLIGHT} OR {_STOPPED})
   ORDER BY due, touch_id LIMIT %s FOR UPDATE OF touches SKIP LOCKED)
SELECT touch_id, member, pg_try_advisory_xact_lock(('x' || encode(substr(member, 1, 8), 'hex'))::bit(64)::int8)
  FROM free ORDER BY due, touch_id"""
# token, now, lease, ids
CLAIM = f"""
UPDATE touches SET state = 'claimed', token = %s, lease_until = {_CLOCK} + %s
 WHERE touch_id = ANY(%b::text[]) AND state || '' = 'reserved' AND NOT ({_IN_FLIGHT} OR {_STOPPED})
RETURNING touch_id"""
# ids, token
CLAIMED = f"SELECT {_TOUCH} FROM touches WHERE touch_id = ANY(%b::text[]) AND token = %s AND state || '' = 'claimed'"
# The rows are locked, then the time is taken once, then each touch is judged by it: what is on record as an attempt was
# permitted at the instant that the record names. The count has to be there before there is a row to tell the time in.
# ids, token, now or None, whether the server's clock is meant where none is given (else the partition's), account,
# the switch that stops the account
_ATTEMPT = f"""
WITH held AS MATERIALIZED (
  SELECT touch_id FROM touches WHERE touch_id = ANY(%b::text[]) AND token = %s AND state || '' = 'claimed'
   ORDER BY touch_id FOR UPDATE{{skip}}),
moment AS MATERIALIZED (
  SELECT coalesce(%s::int8, CASE WHEN %s THEN {_SERVERS} END) AS at FROM (SELECT count(*) FROM held) AS locked)
UPDATE touches SET state = 'attempting', attempts = attempts + 1, attempted_at = {_AT}, account = %s
  FROM moment
 WHERE state || '' = 'claimed' AND touch_id = ANY(ARRAY(SELECT touch_id FROM held))
   AND valid_until > {_AT} AND (call_by = 0 OR call_by > {_AT}) AND NOT ({_STOPPED})
   AND NOT EXISTS (SELECT FROM switches WHERE scope = %s)
RETURNING {BRIEF}"""
ATTEMPT_FREE = _ATTEMPT.format(skip=" SKIP LOCKED")
ATTEMPT = _ATTEMPT.format(skip="")
# states, dues, ids, tokens, state before; gives ids and tokens
SETTLE = """
UPDATE touches SET state = given.state, token = '', lease_until = 0,
       due = CASE given.state WHEN 'reserved' THEN given.due ELSE touches.due END
  FROM unnest(%b::text[], %b::int8[], %b::text[], %b::text[]) AS given(state, due, touch_id, token)
 WHERE touches.touch_id = given.touch_id AND touches.token = given.token AND touches.state || '' = %s
RETURNING given.touch_id, given.token"""
# now
LAPSED = f"""
SELECT {_TOUCH} FROM touches
 WHERE state IN ('claimed', 'attempting') AND state <> 'claimed' AND lease_until < %s
   FOR UPDATE SKIP LOCKED"""
PUT_SWITCH = (
    f"INSERT INTO switches ({quoted(SwitchRow._fields)}) VALUES (%s, %s, %s) "
    "ON CONFLICT (scope) DO UPDATE SET since = excluded.since, actor = excluded.actor"
)
LIFT_SWITCH = "DELETE FROM switches WHERE scope = %s"
# waits for attempts under way
AFTER_ATTEMPTS = """
SELECT count(*) FROM (
  SELECT FROM touches WHERE state IN ('claimed', 'attempting') AND state <> 'attempting' FOR SHARE) AS claimed"""

# --- the relay's side
# partitions, last numbers known, limit
NEWS = f"""
SELECT told.* FROM unnest(%b::int8[], %b::int8[]) AS chain(partition, after) CROSS JOIN LATERAL (
  SELECT {quoted(LogRow._fields)} FROM log WHERE log.partition = chain.partition AND n > chain.after
   ORDER BY n LIMIT %s) AS told"""
# partitions, numbers that were told, limit
BURIALS = f"""
SELECT told.* FROM unnest(%b::int8[], %b::int8[]) AS chain(partition, after) CROSS JOIN LATERAL (
  SELECT seq, {quoted(DeadRow._fields)} FROM dead WHERE dead.partition = chain.partition AND seq > chain.after
   ORDER BY seq LIMIT %s) AS told"""
_MOVES = "unnest(%b::int8[], %b::text[], %b::int8[], %b::int8[]) AS given(partition, topic, before, after)"
# partitions, topics, numbers before, numbers after; give the partitions and topics that moved
MOVE_CURSORS = f"""
UPDATE cursors SET n = given.after FROM {_MOVES}
 WHERE cursors.partition = given.partition AND cursors.topic = given.topic AND cursors.n = given.before
RETURNING cursors.partition, cursors.topic"""
FIRST_CURSORS = f"""
INSERT INTO cursors (partition, topic, n) SELECT partition, topic, after FROM {_MOVES} WHERE before = 0
ON CONFLICT (partition, topic) DO NOTHING RETURNING partition, topic"""


class SharedWords(NamedTuple):
    """`stores.sql.statements.Shared` in PostgreSQL's words."""

    count_try: str
    put_document: str
    first_document: str
    put_registry: str
    put_pool: str
    next_due: str
    log_of: str


def _put(table: str, names: tuple[str, ...], key: str, then: str) -> str:
    marks = ", ".join(["%s"] * len(names))
    return f"INSERT INTO {table} ({quoted(names)}) VALUES ({marks}) ON CONFLICT ({key}) DO {then}"


SHARED = SharedWords(
    count_try=(
        'INSERT INTO tries (partition, "offset", tries) VALUES (%s, %s, 1) '
        'ON CONFLICT (partition, "offset") DO UPDATE SET tries = tries.tries + 1 RETURNING tries'
    ),
    put_document=_put("documents", ("kind", "name", "body"), "kind, name", "UPDATE SET body = excluded.body"),
    first_document=_put("documents", ("kind", "name", "body"), "kind, name", "NOTHING"),
    put_registry=_put("registries", ("name", "checked_at"), "name", "UPDATE SET checked_at = excluded.checked_at"),
    put_pool=_put("pools", ("pool", "told"), "pool", "UPDATE SET told = excluded.told"),
    next_due="SELECT min((SELECT min(due) FROM inbox WHERE partition = n)) FROM generate_series(0, %s::int8 - 1) AS n",
    log_of=f"SELECT {quoted(LogRow._fields)} FROM log WHERE ref = %s",
)
