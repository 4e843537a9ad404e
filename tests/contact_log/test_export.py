"""Exports: the columns that were promised, safe in a spreadsheet, and verifiable without the store."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contact_log import chain
from orchestrator.contact_log.checkpoint import make_checkpoint
from orchestrator.contact_log.export import export, read_rows, verify_export, write_rows
from orchestrator.decide.result import Entry
from orchestrator.errors import Tampered
from orchestrator.stores.contract import LogRow, Store
from orchestrator.times import instant
from orchestrator.vault import Vault

NOW = instant(1_772_625_600_000_000)
COLUMNS = [
    *("partition", "n", "turn", "at", "occurred_at", "valid_until", "kind", "member", "member_ref", "journey", "step"),
    *("occurrence", "intent_id", "touch_id", "channel", "purpose", "verdict", "reason", "release_at", "state"),
    *("revision", "trail", "prev_hash", "hash"),
]
Fill = Callable[[Store], None]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def jsonl(store: Store, **given: Any) -> list[bytes]:
    out = io.BytesIO()
    export(store, "jsonl", out, **given)
    return out.getvalue().splitlines(keepends=True)


def table(store: Store, **given: Any) -> list[list[str]]:
    out = io.BytesIO()
    export(store, "csv", out, **given)
    return list(csv.reader(io.StringIO(out.getvalue().decode(), newline="")))


def one(entry: Entry, ref: str = "ab" * 16) -> LogRow:
    return chain.append(0, 0, chain.GENESIS, 1, 1_772_625_600_000_005, ref, "rev-1", [entry])[0][0]


def written(rows: list[LogRow]) -> list[bytes]:
    out = io.BytesIO()
    write_rows(rows, out)
    return out.getvalue().split(b"\n")[:-1]


# --- the form


def test_json_lines_have_the_columns_in_order(store: Store, fill: Fill) -> None:
    fill(store)
    lines = jsonl(store)
    assert 34 == len(lines)
    assert all(list(json.loads(line)) == COLUMNS for line in lines)


def test_csv_has_the_same_columns_and_as_many_rows(store: Store, fill: Fill) -> None:
    fill(store)
    head, *rows = table(store)
    assert COLUMNS == head
    assert [line["hash"] for line in map(json.loads, jsonl(store))] == [row[-1] for row in rows]


def test_a_line_says_what_the_entry_says() -> None:
    entry = Entry(
        kind="decision",
        journey="welcome",
        intent_id="i1",
        verdict="defer",
        reason="quiet_hours",
        release_at=instant(1_772_668_800_000_000),
        trail='{"zones":["America/Bogotá"]}',
    )
    line = json.loads(written([one(entry)])[0])
    expected = {
        "partition": 0,
        "n": 1,
        "turn": 1,
        "at": "2026-03-04T12:00:00.000005Z",
        "occurred_at": None,
        "kind": "decision",
        "member": None,
        "member_ref": "ab" * 16,
        "journey": "welcome",
        "channel": None,
        "verdict": "defer",
        "release_at": "2026-03-05T00:00:00.000000Z",
        "trail": {"zones": ["America/Bogotá"]},
        "prev_hash": "00" * 32,
    }
    assert expected == {name: line[name] for name in expected}


def test_members_are_named_only_where_the_caller_may_see_them(store: Store, fill: Fill) -> None:
    fill(store)
    assert {None} == {json.loads(line)["member"] for line in jsonl(store)}
    assert {"m-1"} == {json.loads(line)["member"] for line in jsonl(store, name_of=lambda _: "m-1")}
    assert {"", "member"} == {row[7] for row in table(store)}


def test_one_member_alone_can_be_exported(store: Store, add: Callable[..., Any], entries: Callable[..., Any]) -> None:
    add(store, 0, entries(3), ref="aa" * 16)
    add(store, 0, entries(2), ref="bb" * 16)
    assert 2 == len(jsonl(store, ref="bb" * 16))


@pytest.mark.parametrize("first", list("=+-@\t\r"))
def test_no_cell_is_taken_for_a_formula(store: Store, add: Callable[..., Any], first: str) -> None:
    add(store, 0, [Entry(kind="decision", journey=f"{first}cmd|' /C calc'!A0", trail=f"{first}1+1")])
    row = table(store)[1]
    assert (f"'{first}cmd|' /C calc'!A0", f"'{first}1+1") == (
        row[COLUMNS.index("journey")],
        row[COLUMNS.index("trail")],
    )


def test_csv_keeps_the_trail_whole(store: Store, fill: Fill) -> None:
    fill(store)
    trails = {row.trail for row in store.log()}
    assert trails == {row[COLUMNS.index("trail")] for row in table(store)[1:]}


# --- reading it back


@given(
    trail=st.sampled_from(["", "{}", '{"a":1}', '{ "a" : "b" }', "null", "5", '"text"', "[1]", "{", '{"a"', '{"a":1}}'])
    | texts,
    texts_=st.lists(texts, min_size=10, max_size=10),
    instants=st.lists(st.just(0) | st.integers(1, 4 * 10**15), min_size=4, max_size=4),
)
def test_any_row_comes_back_exactly_as_it_was(trail: str, texts_: list[str], instants: list[int]) -> None:
    """Whatever stands in the store, also what no engine of ours would write."""
    row = one(Entry(kind="decision"))
    names = ("journey", "step", "occurrence", "intent_id", "touch_id", "channel", "verdict", "reason", "state", "ref")
    row = row._replace(**dict(zip(names, texts_, strict=True)), trail=trail)
    row = row._replace(
        at=instants[0], occurred_at=instants[1], valid_until=instants[2], release_at=instants[3], hash=b"h" * 32
    )
    assert [row] == list(read_rows(written([row])))


@pytest.mark.parametrize("line", [b"{}", b"[]", b"x", b'{"partition":0}', b"\xff"])
def test_a_line_that_is_no_entry_is_tampered_with(store: Store, fill: Fill, line: bytes) -> None:
    fill(store)
    with pytest.raises(Tampered, match="line 3"):
        verify_export([*jsonl(store)[:2], line])


def test_what_is_wrong_with_a_line_is_told_without_quoting_it(store: Store, fill: Fill) -> None:
    fill(store)
    lines = jsonl(store, name_of=lambda _: "secret-id")
    with pytest.raises(Tampered) as caught:
        verify_export([lines[0].replace(b'"n":1', b'"n":"secret-id"')])
    assert "secret-id" not in str(caught.value)


# --- verifying without the store


def test_an_untouched_export_verifies_offline(store: Store, fill: Fill, vault: Vault) -> None:
    fill(store)
    signed = make_checkpoint(store, vault, NOW)
    report = verify_export(jsonl(store), signed, vault.public_key)
    assert (True, 34, 3, 1) == (report.ok, report.entries, report.partitions, report.checkpoint)


def test_an_export_with_members_verifies_as_well(store: Store, fill: Fill) -> None:
    fill(store)
    assert verify_export(jsonl(store, name_of=lambda _: "m-1")).ok


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in ("member", "partition", "n")])
def test_any_edited_column_of_an_export_is_found(store: Store, fill: Fill, column: str) -> None:
    fill(store)
    lines = jsonl(store)
    fields = json.loads(lines[7])
    edited: Any = {"turn": 99, "trail": {"zones": []}, "hash": "11" * 32, "prev_hash": "11" * 32}.get(column, "edited")
    if column.endswith(("at", "until")):
        edited = "2026-03-04T12:00:00.000001Z"
    lines[7] = json.dumps(fields | {column: edited}, ensure_ascii=False, separators=(",", ":")).encode()
    report = verify_export(lines)
    assert {(0, 8, "altered")} <= {(fault.partition, fault.n, fault.what) for fault in report.faults}


def test_lines_that_were_removed_moved_or_cut_are_found(store: Store, fill: Fill, vault: Vault) -> None:
    fill(store)
    signed = make_checkpoint(store, vault, NOW)
    lines = jsonl(store)
    assert not verify_export([*lines[:5], *lines[6:]], signed).ok
    assert not verify_export([lines[1], lines[0], *lines[2:]], signed).ok
    assert verify_export(lines[:-1]).ok, "the chain alone can't tell"
    assert not verify_export(lines[:-1], signed).ok


def test_an_export_signed_with_another_key_is_found(store: Store, fill: Fill, vault: Vault, other_vault: Vault) -> None:
    fill(store)
    signed = make_checkpoint(store, vault, NOW)
    assert ["signature"] == [f.what for f in verify_export(jsonl(store), signed, other_vault.public_key).faults]
