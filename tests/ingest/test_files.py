"""Files as they really come: what is read, what is refused, and that the report says where and never what."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import UsageError

Run = Callable[..., Any]
HEADER = "receipt,card,at,total,shop\n"
GOOD = "r1,ana,2026-03-02T12:00:00Z,19.99,330\n"
JSONL = {"format": "jsonl"}


def line(**changes: Any) -> str:
    """One JSON line of the till."""
    good = {"receipt": "r1", "card": "ana", "at": "2026-03-02T12:00:00Z", "total": "19.99", "shop": "330"}
    return json.dumps({**good, **changes}) + "\n"


def test_a_row_becomes_an_event(run: Run) -> None:
    (event,) = run(HEADER + GOOD).events
    assert ("purchase.completed/r1", "/till", "ana") == (event.id, event.source, event.subject)
    assert (1999, "330") == (event.data.amount, event.data.store)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(run: Run, packed: bool) -> None:
    assert 1 == run("\ufeff" + HEADER + GOOD, packed=packed).report.events


def test_quotes_commas_and_line_breaks_inside_a_field_are_kept(run: Run) -> None:
    rows = HEADER + '"r1","ana",2026-03-02T12:00:00Z,19.99,"Main St, ""5""\nback door"\n' + GOOD.replace("r1", "r2")
    outcome = run(rows)
    assert ['Main St, "5"\nback door', "330"] == [event.data.store for event in outcome.events]


def test_row_and_physical_line_are_both_reported(run: Run) -> None:
    """A spreadsheet counts rows, an editor counts lines; a line break in a field makes them differ."""
    outcome = run(HEADER + 'r1,ana,2026-03-02T12:00:00Z,19.99,"two\nlines"\n' + "r2,ana,never,1.00,\n")
    (refused,) = map(json.loads, outcome.refusals.splitlines())
    assert (2, 4, "at") == (refused["row"], refused["line"], refused["field"])


def test_windows_line_ends_and_empty_lines_are_no_rows(run: Run) -> None:
    report = run((HEADER + GOOD).replace("\n", "\r\n") + "\r\n\r\n").report
    assert (1, 1, 0) == (report.rows, report.events, report.refused)


@pytest.mark.parametrize("row", ["r2,ana,2026-03-02T12:00:00Z\n", "r2,ana,2026-03-02T12:00:00Z,1.00,330,extra\n"])
def test_a_row_of_another_width_is_refused_and_the_next_one_read(run: Run, row: str) -> None:
    outcome = run(HEADER + row + GOOD)
    assert [(1, "", "wrong_column_count")] == outcome.refused
    assert 1 == outcome.report.events


def test_a_field_with_text_after_its_closing_quote_is_refused(run: Run) -> None:
    outcome = run(HEADER + '"r"2,ana,2026-03-02T12:00:00Z,1.00,\n' + GOOD)
    assert [(1, "", "bad_csv")] == outcome.refused
    assert 1 == outcome.report.events


def test_a_quote_left_open_is_refused(run: Run) -> None:
    assert [(2, "", "bad_csv")] == run(HEADER + GOOD + 'r2,"ana,2026-03-02T12:00:00Z,1.00,\n').refused


def test_a_quote_left_open_in_a_long_file_does_not_take_all_the_rest(run: Run) -> None:
    rows = "".join(f"r{i},ana,2026-03-02T12:00:00Z,1.00,{'x' * 90}\n" for i in range(10, 2010))
    outcome = run(HEADER + 'r2,"ana,2026-03-02T12:00:00Z,1.00,\n' + rows)
    assert (1, "", "too_long") == outcome.refused[0]
    assert outcome.report.events > 800


def test_bytes_that_are_no_utf8_are_refused_in_their_row_alone(run: Run) -> None:
    outcome = run((HEADER + GOOD).encode() + b"r2,ana,2026-03-02T12:00:00Z,1.00,caf\xe9\n")
    assert [(2, "shop", "bad_encoding")] == outcome.refused
    assert 1 == outcome.report.events


def test_another_encoding_and_delimiter_are_read_where_the_mapping_says_so(run: Run) -> None:
    rows = (HEADER + "r1,ana,2026-03-02T12:00:00Z,1.00,café\n").replace(",", ";").encode("latin-1")
    (event,) = run(rows, mapping={"encoding": "latin-1", "delimiter": ";"}).events
    assert "café" == event.data.store


def test_columns_that_are_not_named_are_passed_over_in_any_order(run: Run) -> None:
    rows = "x,shop,total,at,card,receipt\n1,330,19.99,2026-03-02T12:00:00Z,ana,r1\n"
    assert run(HEADER + GOOD).raw == run(rows).raw


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "lacks receipt"),
        ("receipt,card,at,total\n" + GOOD, "lacks shop"),
        (HEADER.strip() + ",shop\n", "twice"),
        ('"rec"eipt,card\n', "no CSV header"),
    ],
)
def test_a_file_without_the_mappings_columns_is_refused_whole(run: Run, content: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        run(content)


def test_a_file_with_a_header_alone_gives_an_empty_file(run: Run) -> None:
    outcome = run(HEADER)
    assert (b"", 0, "") == (outcome.raw, outcome.report.rows, outcome.report.refusals)


def test_gzip_is_known_by_its_first_bytes_not_by_its_name(run: Run) -> None:
    assert run(HEADER + GOOD).raw == run(HEADER + GOOD, packed=True).raw


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_gzip_leaves_no_output(run: Run, tmp_path: Path, damage: str) -> None:
    whole = gzip.compress((HEADER + "".join(GOOD.replace("r1", f"r{i}") for i in range(5000))).encode())
    broken = whole[:-20] if damage == "cut" else whole[:900] + bytes([whole[900] ^ 0xFF]) + whole[901:]
    with pytest.raises(UsageError, match="damaged"):
        run(broken)
    assert ["a.map.yaml", "in-0.data"] == sorted(path.name for path in tmp_path.iterdir())


def test_an_absent_file_and_a_folder_are_wrong_use(run: Run, tmp_path: Path) -> None:
    from orchestrator.ingest.load import load_mapping
    from orchestrator.ingest.run import ingest

    run(HEADER)
    loaded = load_mapping(tmp_path / "a.map.yaml")
    for path, word in ((tmp_path / "nowhere.csv", "does not exist"), (tmp_path, "folder")):
        with pytest.raises(UsageError, match=word):
            ingest([path], loaded, tmp_path / "o.jsonl")
    with pytest.raises(UsageError, match="one of the files"):
        ingest([tmp_path / "in-0.data"], loaded, tmp_path / "in-0.data")


class TestJsonLines:
    def test_a_line_becomes_an_event(self, run: Run) -> None:
        assert run(HEADER + GOOD).raw == run(line(), mapping=JSONL).raw

    def test_money_written_as_a_number_is_read_exactly(self, run: Run) -> None:
        """0.29 as a binary fraction times 100 is 28.999999999999996."""
        rows = line(total=0).replace('"total": 0', '"total": 0.29')
        assert 29 == run(rows, mapping=JSONL).events[0].data.amount

    def test_null_and_absent_are_the_same(self, run: Run) -> None:
        without = json.loads(line())
        del without["shop"]
        assert run(line(shop=None), mapping=JSONL).raw == run(json.dumps(without), mapping=JSONL).raw

    def test_a_dotted_path_leads_into_objects(self, run: Run) -> None:
        columns = {
            "receipt": {"type": "text"},
            "card": {"type": "text", "from": "who.card"},
            "at": {"type": "datetime"},
            "total": {"type": "money", "currency": "USD"},
            "shop": {"type": "text", "from": "where.shop.id"},
        }
        rows = line(who={"card": "eve"}, where={"shop": {"id": 12}}) + line(receipt="r2", who="eve", where=None)
        outcome = run(rows, mapping={**JSONL, "columns": columns})
        assert [("eve", "12")] == [(event.subject, event.data.store) for event in outcome.events]
        assert [(2, "purchase.completed.subject", "bad_subject")] == outcome.refused

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            ("{", "bad_json"),
            ("[1]", "bad_json"),
            ("null", "bad_json"),
            ("[" * 50_000, "bad_json"),
            ('{"receipt":"' + "x" * 2**20 + '"}', "too_long"),
            (line(shop=[1]).strip(), "not_scalar"),
            (line(shop={"a": 1}).strip(), "not_scalar"),
        ],
        ids=["cut", "list", "null", "deep", "long", "list inside", "object inside"],
    )
    def test_a_bad_line_is_refused_and_the_next_one_read(self, run: Run, bad: str, reason: str) -> None:
        outcome = run(bad + "\n\n" + line(), mapping=JSONL)
        assert [(1, reason)] == [(row, why) for row, _, why in outcome.refused]
        assert 1 == outcome.report.events

    def test_bytes_that_are_no_utf8_are_refused_in_their_line_alone(self, run: Run) -> None:
        outcome = run(line().encode() + line(receipt="r2", shop="X").encode().replace(b"X", b"\xe9"), mapping=JSONL)
        assert [2] == [row for row, _, _ in outcome.refused]
        assert 1 == outcome.report.events
