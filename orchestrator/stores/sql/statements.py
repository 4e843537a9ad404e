"""The hot path in SQLite's own words; PostgreSQL's stand in postgres/statements.py.

Rows travel as the contract's named tuples, in column order, through the driver's `executemany`; nothing is compiled or
named on the way.
"""

# ruff: noqa: S608, D102 - statements are put together from names of this file alone, values travel as parameters;
# what is asked, and with what, stands in Words

from __future__ import annotations

from typing import NamedTuple, Protocol

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
    VoucherRow,
)
from orchestrator.stores.sql.schema import SPAN_TURNS


class Shared(Protocol):
    """What both dialects are asked in the same way, each in its own words; parameters as in Words."""

    @property
    def count_try(self) -> str: ...
    @property
    def put_document(self) -> str: ...
    @property
    def first_document(self) -> str: ...
    @property
    def put_registry(self) -> str: ...
    @property
    def put_pool(self) -> str: ...
    @property
    def next_due(self) -> str: ...
    @property
    def log_of(self) -> str: ...


class Words(NamedTuple):
    """The statements of one dialect. `{marks}` takes the placeholders of a list of values."""

    # --- a batch reads
    # partitions: the guarded rows, locked where the dialect has row locks
    lock: str
    members: str
    keys: str
    # buckets first, then identities: two lists of marks
    seen: str
    # partition, until, limit; several are put together with UNION ALL
    due: str
    # partition, due, number, limit
    held: str
    # partition, member, limit
    members_after: str
    switches: str
    registries: str
    # name, then contacts
    listed: str
    any_quarantined: str
    quarantined: str
    # member
    parked: str
    touch_states: str
    suppressions_of: str
    first_holder: str
    holders_of: str
    # since, then contacts
    reached: str
    # pool, number, limit
    vouchers_after: str
    # pool, limit
    vouchers_left: str
    # pool, limit; gives a number
    count_left: str
    # pool
    pool_told: str
    # --- a batch writes
    advance: str
    put_member: str
    put_key: str
    destroy_key: str
    add_journal: str
    add_seen: str
    add_log: str
    add_inbox: str
    consume: str
    reserve: str
    cancel: str
    put_suppression: str
    # touch_id
    code_back: str
    # touch_id, ref, number
    give_voucher: str
    # ref
    empty_vouchers: str
    # pool, told
    tell_pool: str
    # subject, channel, purpose, until
    end_suppression: str
    # touch ids; gives each of them that is reserved, beside each suppression that covers it
    reserved_under: str
    put_contact: str
    # contact, member
    leave_contact: str
    add_holder: str
    add_dead: str
    # member
    end_quarantine: str
    # member
    unpark: str
    put_quarantine: str
    park: str
    add_total: str
    add_daily: str
    put_position: str
    # --- an owner, outside a batch
    # partition, source; gives the row
    take: str
    # partition
    source: str
    # partition, offset; gives the tries
    count_try: str
    put_document: str
    # kind, name, body
    first_document: str
    put_registry: str
    # pool, told
    put_pool: str
    # after, partition, topic, before
    move_cursor: str
    # partition, topic, n
    first_cursor: str
    # --- the dispatcher's side; its instant stands as `now`: None is the clock of the touch's partition
    # now: lapsed claims go back
    give_back: str
    # the lowest rank above another
    next_rank: str
    # now, rank, the latest clock, now, now, channel, channel; gives touches, each with the instant
    claimable: str
    # token, lease_until, touch_id
    claim: str
    # now, account, touch_id, token, now, now; gives attempts and attempted_at
    attempt: str
    # state, state, due, touch_id, token, state before
    settle: str
    # now
    lapsed: str
    # subject, channel, channel, purpose, purpose
    covered_contact: str
    # member, channel, channel, purpose, purpose
    covered_member: str
    # key, day
    hear: str
    # day: all heard before it
    forget_heard: str
    put_switch: str
    lift_switch: str
    switched: str
    latest_clock: str
    # --- reading
    next_due: str
    # ref: one member's log rows, in no order
    log_of: str


def quoted(columns: tuple[str, ...]) -> str:
    """Column names for a statement; `offset` is a word of the language itself."""
    return ", ".join('"offset"' if column == "offset" else column for column in columns)


def marks(count: int) -> str:
    """Placeholders for `count` values."""
    return ", ".join("?" * count)


def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({quoted(columns)}) VALUES ({marks(len(columns))})"


def _upsert(table: str, columns: tuple[str, ...], key: str, where: str = "") -> str:
    held = {name.strip() for name in key.split(",")}
    news = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in held)
    return f"{_insert(table, columns)} ON CONFLICT ({key}) DO UPDATE SET {news}{where and f' WHERE {where}'}"


def _add(table: str, columns: tuple[str, ...]) -> str:
    return (
        f"{_insert(table, (*columns, 'count'))} ON CONFLICT ({quoted(columns)}) "
        f"DO UPDATE SET count = {table}.count + excluded.count"
    )


_TOUCH = quoted(TouchRow._fields)
_KEPT = {"touch_id", "attempts", "attempted_at", "account"}
_RESERVE_ANEW = ", ".join(f"{name} = excluded.{name}" for name in TouchRow._fields if name not in _KEPT)
_SUBJECTS = "(touches.contact, lower(hex(touches.member)))"
# literal scopes and states: an index over some states serves only a statement that names them
_COVERS = f"""s.subject IN {_SUBJECTS}
          AND s.channel IN (touches.channel, '*') AND s.purpose IN (touches.purpose, '*')"""
_STOPPED = f"""
  EXISTS (SELECT 1 FROM suppressions AS s WHERE {_COVERS})
  OR EXISTS (SELECT 1 FROM switches
             WHERE scope IN ('all', 'channel:' || touches.channel, 'journey:' || touches.journey))"""
_CLOCK = "coalesce(?, (SELECT clock FROM progress WHERE progress.partition = touches.partition))"
_IN_FLIGHT = "other.member = touches.member AND other.state IN ('claimed', 'attempting')"
_COVERED = f"""SELECT {_TOUCH} FROM touches WHERE state IN ('reserved', 'claimed') AND {{found}}
  AND (? = '*' OR ? = channel) AND (? = '*' OR ? = purpose)"""

SQLITE = Words(
    # the transaction has the file's only write lock
    lock=f"SELECT {quoted(Progress._fields)} FROM progress WHERE partition IN ({{marks}})",
    members=f"SELECT {quoted(MemberRow._fields)} FROM members WHERE member IN ({{marks}})",
    keys="SELECT ref, wrapped FROM keys WHERE ref IN ({marks})",
    seen="SELECT identity, content FROM seen WHERE bucket IN ({buckets}) AND identity IN ({marks})",
    due=(
        f"SELECT {quoted(InboxRow._fields)} FROM inbox "
        "WHERE partition = ? AND due <= ? ORDER BY due, member, seq LIMIT ?"
    ),
    held=(
        f"SELECT {quoted(InboxRow._fields)} FROM inbox WHERE partition = ? AND due = ? AND seq > ? ORDER BY seq LIMIT ?"
    ),
    members_after=(
        "SELECT member FROM members WHERE partition = ? AND member > ? AND NOT erased ORDER BY member LIMIT ?"
    ),
    switches=f"SELECT {quoted(SwitchRow._fields)} FROM switches ORDER BY scope",
    registries="SELECT name, checked_at FROM registries WHERE name IN ({marks})",
    listed="SELECT contact FROM listed WHERE name = ? AND contact IN ({marks})",
    any_quarantined="SELECT 1 FROM quarantine LIMIT 1",
    quarantined="SELECT member FROM quarantine WHERE member IN ({marks})",
    parked=f"SELECT {quoted(ParkedRow._fields)} FROM parked WHERE member = ? ORDER BY seq",
    suppressions_of=f"SELECT {quoted(SuppressionRow._fields)} FROM suppressions WHERE subject IN ({{marks}})",
    first_holder=f"{_insert('holders', HolderRow._fields)} ON CONFLICT (contact, n) DO NOTHING",
    holders_of=f"SELECT {quoted(HolderRow._fields)} FROM holders WHERE contact IN ({{marks}})",
    # CROSS JOIN: holders first, then the touches of each in every state that counts
    reached="""
SELECT holders.contact, touches.member, touch_id, channel, purpose, journey,
       CASE WHEN state IN ('accepted', 'unknown') THEN attempted_at ELSE 0 END
  FROM holders CROSS JOIN touches
 WHERE (touches.member = holders.member AND state IN ('reserved', 'claimed', 'attempting')
        OR touches.member = holders.member AND state IN ('accepted', 'unknown') AND attempted_at >= ?)
   AND touches.contact = holders.contact AND holders.contact IN ({marks})""",
    vouchers_after=(
        f"SELECT {quoted(VoucherRow._fields)} FROM vouchers "
        "WHERE pool = ? AND touch_id = '' AND seq > ? ORDER BY seq LIMIT ?"
    ),
    vouchers_left=(
        f"SELECT {quoted(VoucherRow._fields)} FROM vouchers WHERE pool = ? AND touch_id = '' ORDER BY seq LIMIT ?"
    ),
    count_left="SELECT count(*) FROM (SELECT 1 FROM vouchers WHERE pool = ? AND touch_id = '' LIMIT ?)",
    pool_told="SELECT told FROM pools WHERE pool = ?",
    touch_states="SELECT touch_id, state FROM touches WHERE touch_id IN ({marks})",
    advance=(
        "UPDATE progress SET next_offset = ?, turn = ?, clock = ?, log_n = ?, head = ? "
        "WHERE partition = ? AND epoch = ? AND next_offset = ? AND turn = ?"
    ),
    put_member=_upsert("members", MemberRow._fields, "member"),
    put_key=_upsert("keys", KeyRow._fields, "ref"),
    destroy_key="DELETE FROM keys WHERE ref = ?",
    add_journal=_insert("journal", JournalRow._fields),
    add_seen=_insert("seen", SeenRow._fields),
    add_log=_insert("log", LogRow._fields),
    add_inbox=_insert("inbox", NewInbox._fields),
    consume="DELETE FROM inbox WHERE partition = ? AND seq = ?",
    reserve=(
        f"{_insert('touches', TouchRow._fields)} ON CONFLICT (touch_id) DO UPDATE SET {_RESERVE_ANEW} "
        "WHERE touches.state = 'cancelled'"
    ),
    cancel=(
        "UPDATE touches SET state = 'cancelled', token = '', lease_until = 0 "
        "WHERE touch_id = ? AND state IN ('reserved', 'claimed')"
    ),
    code_back="""
UPDATE vouchers SET touch_id = '', ref = '' WHERE touch_id <> '' AND touch_id = ? AND code <> x''
   AND EXISTS (SELECT 1 FROM touches
                WHERE touches.touch_id = vouchers.touch_id AND state = 'cancelled' AND attempts = 0)""",
    give_voucher="UPDATE vouchers SET touch_id = ?, ref = ? WHERE seq = ? AND touch_id = ''",
    empty_vouchers="UPDATE vouchers SET code = x'' WHERE touch_id <> '' AND ref = ?",
    tell_pool=(
        f"{_insert('pools', ('pool', 'told'))} ON CONFLICT (pool) DO UPDATE SET told = max(told, excluded.told)"
    ),
    put_suppression=_upsert(
        "suppressions", SuppressionRow._fields, "subject, channel, purpose", "excluded.since > suppressions.since"
    ),
    end_suppression="DELETE FROM suppressions WHERE subject = ? AND channel = ? AND purpose = ? AND since <= ?",
    reserved_under=f"""
SELECT {", ".join(f"touches.{name}" for name in TouchRow._fields)},
       {", ".join(f"s.{name}" for name in SuppressionRow._fields)}
  FROM touches CROSS JOIN suppressions AS s ON {_COVERS}
 WHERE touches.touch_id IN ({{marks}}) AND touches.state = 'reserved'""",
    put_contact=f"{_insert('contacts', ContactRow._fields)} ON CONFLICT DO NOTHING",
    leave_contact="DELETE FROM contacts WHERE contact = ? AND member = ?",
    add_holder=_insert("holders", HolderRow._fields),
    add_dead=_insert("dead", DeadRow._fields),
    end_quarantine="DELETE FROM quarantine WHERE member = ?",
    unpark="DELETE FROM parked WHERE member = ?",
    put_quarantine=_upsert("quarantine", QuarantineRow._fields, "member"),
    park=_insert("parked", ParkedRow._fields),
    add_total=_add("totals", ("partition", "name")),
    add_daily=_add("daily", ("partition", "day", "journey", "channel", "verdict", "reason")),
    put_position=_upsert("positions", FilePosition._fields, "content, partition"),
    take=(
        f"INSERT INTO progress ({quoted(Progress._fields)}, source) VALUES (?, 1, 0, 0, 0, 0, zeroblob(32), ?) "
        "ON CONFLICT (partition) DO UPDATE SET epoch = epoch + 1, "
        "source = CASE source WHEN '' THEN excluded.source ELSE source END "
        f"RETURNING {quoted(Progress._fields)}"
    ),
    source="SELECT source FROM progress WHERE partition = ?",
    count_try=(
        'INSERT INTO tries (partition, "offset", tries) VALUES (?, ?, 1) '
        'ON CONFLICT (partition, "offset") DO UPDATE SET tries = tries + 1 RETURNING tries'
    ),
    put_document=_upsert("documents", ("kind", "name", "body"), "kind, name"),
    first_document=f"{_insert('documents', ('kind', 'name', 'body'))} ON CONFLICT (kind, name) DO NOTHING",
    put_registry=_upsert("registries", ("name", "checked_at"), "name"),
    put_pool=_upsert("pools", ("pool", "told"), "pool"),
    move_cursor="UPDATE cursors SET n = ? WHERE partition = ? AND topic = ? AND n = ?",
    first_cursor=f"{_insert('cursors', ('partition', 'topic', 'n'))} ON CONFLICT (partition, topic) DO NOTHING",
    give_back=(
        "UPDATE touches SET state = 'reserved', token = '', lease_until = 0 "
        f"WHERE state IN ('claimed', 'attempting') AND state = 'claimed' AND lease_until < {_CLOCK}"
    ),
    next_rank="SELECT min(rank) FROM touches WHERE state = 'reserved' AND rank > ?",
    claimable=f"""
SELECT {_TOUCH}, {_CLOCK} FROM touches
 WHERE state = 'reserved' AND rank = ? AND due <= ? AND due <= {_CLOCK} AND valid_until > {_CLOCK}
   AND (? = '' OR ? = channel)
   AND NOT EXISTS (SELECT 1 FROM touches AS other WHERE {_IN_FLIGHT})
   AND NOT ({_STOPPED})
 ORDER BY due, touch_id""",
    claim="UPDATE touches SET state = 'claimed', token = ?, lease_until = ? WHERE touch_id = ?",
    attempt=f"""
UPDATE touches SET state = 'attempting', attempts = attempts + 1, attempted_at = {_CLOCK}, account = ?
 WHERE touch_id = ? AND token = ? AND state = 'claimed'
   AND valid_until > {_CLOCK} AND (call_by = 0 OR call_by > {_CLOCK}) AND NOT ({_STOPPED})
RETURNING attempts, attempted_at""",
    settle=(
        "UPDATE touches SET state = ?, due = CASE ? WHEN 'reserved' THEN ? ELSE due END, token = '', lease_until = 0 "
        "WHERE touch_id = ? AND token = ? AND state = ?"
    ),
    lapsed=(
        f"SELECT {_TOUCH} FROM touches "
        "WHERE state IN ('claimed', 'attempting') AND state = 'attempting' AND lease_until < ?"
    ),
    covered_contact=_COVERED.format(found="contact = ?"),
    covered_member=_COVERED.format(found="member = ?"),
    hear=f"{_insert('heard', HeardRow._fields)} ON CONFLICT DO NOTHING",
    forget_heard="DELETE FROM heard WHERE day < ?",
    put_switch=_upsert("switches", SwitchRow._fields, "scope"),
    lift_switch="DELETE FROM switches WHERE scope = ?",
    switched="SELECT 1 FROM switches WHERE scope = ?",
    latest_clock="SELECT coalesce(max(clock), 0) FROM progress",
    # one look at the head of each partition's queue
    next_due="""
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?)
SELECT min((SELECT min(due) FROM inbox WHERE partition = n)) FROM numbers""",
    # CROSS JOIN: spans first, then the index of each
    log_of=f"""
WITH RECURSIVE spans (s) AS (
  SELECT 0 UNION ALL SELECT s + 1 FROM spans WHERE s < (SELECT max(turn) / {SPAN_TURNS} FROM progress))
SELECT {quoted(LogRow._fields)} FROM spans CROSS JOIN log WHERE turn / {SPAN_TURNS} = s AND ref = ?""",
)
