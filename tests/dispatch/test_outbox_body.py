"""A message in the outbox comes out as it went in, and takes little room."""

from __future__ import annotations

import pytest

from orchestrator.channels.contract import Message
from orchestrator.outbox_body import WORTH_IT, read_body, write_body


def message(html: str = "", text: str = "Hola, María \U0001f381") -> Message:
    return Message(
        touch_id="t", channel="email", to="ana@example.com", purpose="marketing", journey="welcome", locale="es",
        subject="Hola", html=html, text=text,
    )  # fmt: skip


@pytest.mark.parametrize("html", ["", "<p>é</p>", "<table><tr><td>ñ</td></tr></table>" * 400])
def test_what_is_read_is_what_was_written(html: str) -> None:
    assert message(html) == read_body(write_body(message(html)))


@pytest.mark.parametrize("length", [WORTH_IT // 2, WORTH_IT, 40_000])
def test_a_body_of_any_length_says_how_it_was_written(length: int) -> None:
    written = write_body(message("x" * length))
    assert (length >= WORTH_IT) == written.startswith(b"\x78")
    assert length == len(read_body(written).html)


def test_html_takes_a_fraction_of_its_length() -> None:
    html = "".join(f"<tr><td style='padding:{n}px'>{n}</td></tr>" for n in range(400))
    assert len(write_body(message(html))) < len(html) / 4
