"""What is asked often on PostgreSQL goes through the index made for it, counted by the server or not yet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from orchestrator.stores.sql import SqlStore
from orchestrator.stores.sql.postgres import statements as words
from orchestrator.stores.sql.postgres.connecting import SETTINGS
from tests.servers import Postgres

# a backlog as large as the history: half of the touches wait, and most of those are due
TOUCHES = """
INSERT INTO touches SELECT n::text, n % 32, decode(lpad(to_hex(n), 32, '0'), 'hex'), 'ref', 'i', 'welcome', 'email',
       'marketing', 'contact-' || n, 1 + n % 3, CASE WHEN n % 5 < 4 THEN 5 ELSE 1000000 END, 9000000,
       CASE WHEN n % 2 = 0 THEN 'reserved' WHEN n % 1001 = 1 THEN 'claimed' WHEN n % 1001 = 2 THEN 'attempting'
            ELSE 'accepted' END, '', 0, 0, 0, 0, '', '', ''
  FROM generate_series(1, 20000) n"""
INBOX = "INSERT INTO inbox (partition, due, member, input) SELECT n % 32, n, '', '' FROM generate_series(1, 20000) n"
LOG = """
INSERT INTO log SELECT 0, n, n, n, 0, 0, 'decision', 'ref-' || n, 'welcome', 's', 'o', 'intent-' || n, 'touch-' || n,
       'email', 'marketing', 'send', 'allowed', 0, '', 'r', '', '', '' FROM generate_series(1, 20000) n"""
ROWS = f"{TOUCHES}; {INBOX}; {LOG}"

ids, members, numbers = ["1", "2"], [bytes(16), bytes(15) + b"1"], [1, 2]
# statement, values, the indexes it must go through, as patterns
ASKED: dict[str, tuple[str, tuple[Any, ...], list[str]]] = {
    "what is due": (words.DUE, (numbers, [100] * len(numbers), 50), ["ix_inbox_partition_due_member_seq"]),
    "when the next is due": (words.SHARED.next_due, (32,), ["ix_inbox_partition_due_member_seq"]),
    "inbox rows consumed": (words.CONSUME, (numbers, numbers), ["pk_inbox"]),
    "lapsed claims": (words.GIVE_BACK, (None,), ["ix_touches_(one_)?in_flight"]),
    "ranks that wait": (words.RANKS, (), ["ix_touches_reserved"]),
    "what may be claimed": (
        words.CLAIMABLE,
        (1, 100, None, None, "", "", members, 50),
        ["ix_touches_reserved", "ix_touches_(one_)?in_flight", "pk_suppressions"],
    ),
    "a claim": (words.CLAIM, ("token", None, 1, ids), ["pk_touches", "ix_touches_(one_)?in_flight", "pk_suppressions"]),
    "an attempt": (
        words.ATTEMPT_FREE,
        (ids, "token", None, True, "relay", "account:relay"),
        ["pk_touches", "pk_suppressions"],
    ),
    "an outcome": (words.SETTLE, (ids, numbers, ids, ids, "attempting"), ["pk_touches"]),
    "lapsed attempts": (words.LAPSED, (1,), ["ix_touches_(one_)?in_flight"]),
    "what an opt-out covers": (
        words.CANCEL_COVERED,
        ("contact-1", *"****", members[0], *"****", "contact-1", "*", "*"),
        ["ix_touches_waiting", "ix_touches_member_state"],
    ),
    "attempts under way": (words.AFTER_ATTEMPTS, (), ["ix_touches_(one_)?in_flight"]),
    "members": (words.MEMBERS_OF, (members,), ["pk_members"]),
    "duplicates": (words.SEEN_OF, (numbers, members), ["pk_seen"]),
    "touches' states": (words.TOUCH_STATES, (ids,), ["pk_touches"]),
    "dead letters to be told": (words.BURIALS, (numbers, numbers, 50), ["ix_dead_partition_seq"]),
    "who holds contact points": (words.HOLDERS_OF, (ids,), ["pk_holders"]),
    "contact points to be locked": (words.LOCK_CONTACTS, (ids,), ["pk_holders"]),
    "what reached contact points": (words.REACHED, (1, ids), ["pk_holders", "ix_touches_member_state"]),
    "what is parked of a member": (words.PARKED_OF, (members[0],), ["ix_parked_member_seq"]),
    "reservations under suppressions": (words.RESERVED_UNDER, (ids,), ["pk_touches", "pk_suppressions"]),
    "one member's log": (words.SHARED.log_of, ("ref-1",), ["log_other_ref_idx"]),
}


@pytest.fixture(scope="module", params=["counted", "not yet counted"])
def session(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[psycopg.Connection[Any]]:
    """A session as the store's are, over tables that the server has counted or, after a burst, not."""
    url = postgres.fresh_database()
    SqlStore.open(url, 32).close()
    with psycopg.connect(url, autocommit=True) as session:
        for table in ("touches", "inbox", "log"):
            session.execute(f"ALTER TABLE {table}{'_other' if table == 'log' else ''} SET (autovacuum_enabled = false)")  # type: ignore[call-overload]
        if request.param == "not yet counted":
            session.execute("ANALYZE")
        session.execute(ROWS)  # type: ignore[call-overload]
        if request.param == "counted":
            session.execute("ANALYZE")
        for name, value in SETTINGS.items():
            session.execute("SELECT set_config(%s, %s, false)", (name, value))
        yield session
    postgres.drop(url)


@pytest.mark.parametrize("what", ASKED)
def test_what_is_asked_often_goes_through_its_index(session: psycopg.Connection[Any], what: str) -> None:
    statement, values, indexes = ASKED[what]
    plan = "\n".join(row[0] for row in session.execute(f"EXPLAIN {statement}", values))  # type: ignore[call-overload]
    assert [] == [index for index in indexes if not re.search(index, plan)], plan
    tables = ("touches", "inbox", "log", "members", "seen", "suppressions", "holders")
    assert [] == [line for line in plan.splitlines() if "Seq Scan" in line and any(f" on {t}" in line for t in tables)]
    # a key is looked up, never walked along
    for after in plan.split("using pk_")[1:]:
        assert "Index Cond" in after.splitlines()[1], plan


def test_candidates_for_a_claim_are_read_in_their_order_and_no_further_than_asked(
    session: psycopg.Connection[Any],
) -> None:
    """Of a backlog of 8,000 that are due, 50 are looked at."""
    statement, (rank, until, _, _, *others), _ = ASKED["what may be claimed"]
    values = (rank, until, 100, 100, *others)
    rows = session.execute(f"EXPLAIN (ANALYZE, BUFFERS OFF, TIMING OFF, COSTS OFF) {statement}", values)  # type: ignore[call-overload]
    plan = [row[0] for row in rows]
    queue = next(line for line in plan if "ix_touches_reserved" in line)
    condition = next(line for line in plan[plan.index(queue) :] if "Index Cond" in line)
    assert "rank" in condition
    assert "due" in condition
    assert 50 == float(queue.partition("actual rows=")[2].split()[0]), plan
    # each is asked of, or all of them once; never all of them for each
    flights = next(line for line in plan if re.search("ix_touches_(one_)?in_flight", line))
    assert re.search(r"loops=(1|50)\)", flights), plan
