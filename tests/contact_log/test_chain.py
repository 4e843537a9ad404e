"""Entries become rows, each bound to the one before, in a form that anyone can check."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contact_log.chain import GENESIS, append, canonical, link
from orchestrator.decide.result import Entry
from orchestrator.stores.contract import LogRow
from orchestrator.times import micros

NOW = datetime(2026, 3, 4, 12, 0, 0, 5, tzinfo=UTC)
# hypothesis takes the bounds naive
EARLIEST, LATEST = datetime.fromisoformat("1971-01-01"), datetime.fromisoformat("2200-01-01")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
instants = st.none() | st.datetimes(timezones=st.just(UTC), min_value=EARLIEST, max_value=LATEST)
entries = st.builds(
    Entry,
    kind=st.sampled_from(["decision", "touch", "consent", "contact_point", "operator", "tick", "member"]),
    **dict.fromkeys(("journey", "step", "occurrence", "intent_id", "touch_id", "channel", "purpose"), texts),
    **dict.fromkeys(("verdict", "reason", "state", "trail"), texts),
    **dict.fromkeys(("release_at", "occurred_at", "valid_until"), instants),
)


def chained(given_entries: list[Entry]) -> list[LogRow]:
    return append(3, 0, GENESIS, 1, micros(NOW), "ab" * 16, "rev-1", given_entries)[0]


def test_the_columns_of_a_row_are_the_entrys_and_the_turns() -> None:
    entry = Entry(
        kind="decision",
        journey="welcome",
        step="hello",
        occurrence="o",
        intent_id="i",
        touch_id="t",
        channel="sms",
        purpose="service",
        verdict="defer",
        reason="quiet_hours",
        release_at=datetime(2026, 3, 5, tzinfo=UTC),
        state="reserved",
        occurred_at=datetime(2026, 3, 4, tzinfo=UTC),
        valid_until=datetime(2026, 3, 6, tzinfo=UTC),
        trail="{}",
    )
    rows, n, head = append(3, 41, b"h" * 32, 7, micros(NOW), "ref", "rev", [entry])
    expected = LogRow(
        partition=3,
        n=42,
        turn=7,
        at=1_772_625_600_000_005,
        occurred_at=1_772_582_400_000_000,
        valid_until=1_772_755_200_000_000,
        kind="decision",
        ref="ref",
        journey="welcome",
        step="hello",
        occurrence="o",
        intent_id="i",
        touch_id="t",
        channel="sms",
        purpose="service",
        verdict="defer",
        reason="quiet_hours",
        release_at=1_772_668_800_000_000,
        state="reserved",
        revision="rev",
        trail="{}",
        prev_hash=b"h" * 32,
        hash=head,
    )
    assert ([expected], 42) == (rows, n)


def test_no_entries_leave_the_chain_as_it_was() -> None:
    assert ([], 41, b"h" * 32) == append(3, 41, b"h" * 32, 7, micros(NOW), "ref", "rev", [])


@given(given_entries=st.lists(entries, max_size=6))
def test_each_row_follows_from_the_one_before(given_entries: list[Entry]) -> None:
    rows = chained(given_entries)
    assert list(range(1, len(rows) + 1)) == [row.n for row in rows]
    assert [GENESIS, *(row.hash for row in rows)][: len(rows)] == [row.prev_hash for row in rows]


@given(given_entries=st.lists(entries, min_size=1, max_size=4))
def test_the_hash_of_a_row_can_be_recomputed_from_the_row(given_entries: list[Entry]) -> None:
    for row in chained(given_entries):
        assert row.hash == link(row)


@given(entry=entries)
def test_the_canonical_form_needs_nothing_of_ours(entry: Entry) -> None:
    """Whoever checks a chain in another language follows the words at the top of chain.py; here with plain json."""
    row = chained([entry])[0]
    columns = {**row._asdict(), "prev_hash": row.prev_hash.hex()}
    del columns["hash"]
    trail = columns.pop("trail")
    text = json.dumps(list(columns.values()), ensure_ascii=False, separators=(",", ":")) + "\n" + trail
    assert text.encode() == canonical(row)
    assert sha256(text.encode()).digest() == row.hash


def test_the_canonical_form_stays_what_it_is() -> None:
    """A log that was written years ago must verify: this hash may never change."""
    entry = Entry(kind="decision", journey="bienvenida ñ", intent_id="i", verdict="send", trail='{"note":"a\\"b"}')
    rows, _, _ = append(0, 0, GENESIS, 1, 1_772_625_600_000_005, "ab" * 16, "rev-1", [entry])
    text = (
        '[0,1,1,1772625600000005,0,0,"decision","abababababababababababababababab","bienvenida ñ","","","i","","","",'
        '"send","",0,"","rev-1","0000000000000000000000000000000000000000000000000000000000000000"]\n{"note":"a\\"b"}'
    )
    assert text.encode() == canonical(rows[0])
    assert "d48097fba2db905347dc4222689956d9ded87f9ab8004b082f4d72d931489a50" == rows[0].hash.hex()


@given(entry=entries, data=st.data())
def test_any_changed_column_changes_the_hash(entry: Entry, data: st.DataObject) -> None:
    row = chained([entry])[0]
    name = data.draw(st.sampled_from([name for name in LogRow._fields if name != "hash"]))
    former = getattr(row, name)
    values = {int: st.integers(0, 2**60), str: texts, bytes: st.binary(min_size=32, max_size=32)}[type(former)]
    changed = data.draw(values.filter(lambda value: value != former))
    assert row.hash != link(row._replace(**{name: changed}))


@given(entry=entries, data=st.data())
def test_text_moved_from_one_column_to_the_next_changes_the_hash(entry: Entry, data: st.DataObject) -> None:
    row = chained([entry])[0]
    names = [name for name in LogRow._fields if isinstance(getattr(row, name), str)]
    at = data.draw(st.integers(0, len(names) - 2))
    first, second = names[at], names[at + 1]
    both = getattr(row, first) + getattr(row, second)
    cut = data.draw(
        st.integers(0, len(both)).filter(lambda cut: cut != len(getattr(row, first))) if both else st.nothing()
    )
    assert row.hash != link(row._replace(**{first: both[:cut], second: both[cut:]}))
