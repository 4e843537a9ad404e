"""Tables on any terminal: no word is broken, no line is too long, nothing is left out."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console, RenderableType

from orchestrator.cli.output import table

COLUMNS = ("journey", "starts", "touches", "steps")
ROWS = [
    ("thank-you", "purchase.completed", 72_577, "thanks (email, sms)"),
    ("we-miss-you", "30 days without purchase.completed", 4_438, "come-back (email, sms)"),
    ("welcome", "member.enrolled", 0, "hello (email, sms) → wait 3 days → first-steps (email)"),
    ("none", None, 1, ""),
]
LONGEST = max(len(word) for row in ROWS for word in str(row).split())


def drawn(shown: RenderableType, width: int) -> list[str]:
    file = StringIO()
    Console(file=file, width=width, highlight=False).print(shown)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", range(40, 201))
def test_every_word_of_a_table_is_whole_and_every_line_fits(width: int) -> None:
    lines = drawn(table(COLUMNS, ROWS, title="What runs"), width)
    assert width >= max(map(len, lines))
    words = {word for line in lines for word in line.split()}
    for row in ROWS:
        for value in row:
            told = f"{value:,}" if isinstance(value, int) else str(value or "")
            assert set(told.split()) <= words, value
    assert "What" in words


def test_a_wide_terminal_shows_a_row_on_a_line() -> None:
    lines = drawn(table(COLUMNS, ROWS), 200)
    assert 2 + len(ROWS) == len(lines)
    assert lines[2].split()[:3] == ["thank-you", "purchase.completed", "72,577"]


def test_a_narrow_terminal_shows_each_value_beside_its_name_and_no_empty_ones() -> None:
    lines = [line.rstrip() for line in drawn(table(COLUMNS, ROWS), 40)]
    assert ["thank-you", "  starts   purchase.completed", "  touches  72,577"] == lines[:3]
    assert ["none", "  touches  1"] == lines[-2:]


def test_without_rows_there_is_the_head_alone() -> None:
    assert "journey" in drawn(table(COLUMNS, []), 80)[0]
