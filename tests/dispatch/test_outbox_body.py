"""A message in the outbox comes out as it went in, and takes little room."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.channels.contract import Message
from orchestrator.outbox_body import read_body, write_body


def message(html: str = "", text: str = "Hola, María \U0001f381") -> Message:
    return Message(
        touch_id="t", channel="email", to="ana@example.com", purpose="marketing", journey="welcome", locale="es",
        subject="Hola", html=html, text=text,
    )  # fmt: skip


@pytest.mark.parametrize("html", ["", "<p>é</p>", "<table><tr><td>ñ</td></tr></table>" * 400])
def test_what_is_read_is_what_was_written(html: str) -> None:
    assert message(html) == read_body(write_body(message(html)))


def test_a_message_stored_before_there_was_compression_is_read_as_well() -> None:
    written = message("<table><tr><td>ñ</td></tr></table>" * 400)
    assert written == read_body(msgspec.json.encode(written))


def test_html_takes_a_fraction_of_its_length() -> None:
    html = "".join(f"<tr><td style='padding:{n}px'>{n}</td></tr>" for n in range(400))
    assert len(write_body(message(html))) < len(html) / 4
