"""Capture keeps each message once, as a page that a person can open and nothing can run in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from orchestrator.channels.capture.index import PAGE_SIZE, write_index
from orchestrator.channels.capture.send import Capture
from orchestrator.channels.contract import Answer, Message
from orchestrator.testing.channel_suite import ChannelSuite, Rig, Script

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


class CaptureRig:
    def __init__(self, folder: Path, channel: str) -> None:
        self.folder = folder / "captured"
        self.adapter = Capture(channel, self.folder, lambda: NOW)

    def script(self, what: Script) -> bool:
        if what == "down":
            # a file where the folder should be
            self.folder.write_bytes(b"")
        elif self.folder.is_file():
            self.folder.unlink()
        return what in {"accept", "down"}

    def calls(self) -> list[str]:
        return [path.stem for path in self.folder.glob("*/t*.html")]

    def waiting(self) -> int:
        return 0

    def release(self) -> None:
        pass


class TestCaptureEmail(ChannelSuite):
    @asynccontextmanager
    async def rig(self, folder: Path) -> AsyncIterator[Rig]:
        yield CaptureRig(folder, self.channel)


class TestCaptureSms(TestCaptureEmail):
    channel = "sms"


def mail(touch_id: str = "touch-1", **changes: str) -> Message:
    facts = {
        "touch_id": touch_id,
        "channel": "email",
        "to": "lucia@example.org",
        "purpose": "marketing",
        "journey": "welcome",
        "locale": "es-ES",
        "subject": "Hola <Lucía>",
        "html": "<h1>Hola</h1><script>alert(1)</script>",
        "text": "Hola",
        "sender": "club@example.com",
    }
    return Message(**{**facts, **changes})


def sms(touch_id: str, text: str = "Hola", **changes: str) -> Message:
    return mail(touch_id, channel="sms", to="+34600111222", subject="", html="", text=text, **changes)


def keep(folder: Path, *messages: Message, every: timedelta = timedelta(minutes=1)) -> list[Answer]:
    async def run() -> list[Answer]:
        at = iter(NOW + n * every for n in range(len(messages)))
        adapter = Capture("email", folder, lambda: next(at))
        answers = [await adapter.send(message) for message in messages]
        await adapter.close()
        return answers

    return asyncio.run(run())


class Elements(HTMLParser):
    """The elements of a page, with their attributes, and its visible words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.found if name == tag]


def page(path: Path) -> Elements:
    return Elements(path.read_text(encoding="utf-8"))


def test_a_message_lies_in_the_folder_of_its_month_under_its_touch_id(tmp_path: Path) -> None:
    keep(tmp_path, mail("touch-1"), mail("touch-2"), every=timedelta(days=20))
    assert ["2026-11/touch-1.html", "2026-12/touch-2.html"] == sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")
    )


def test_the_same_touch_is_one_message_whenever_it_is_sent_again(tmp_path: Path) -> None:
    (first,) = keep(tmp_path, mail("touch-1", text="first"))
    again = keep(tmp_path, mail("touch-0"), mail("touch-1", text="second"), every=timedelta(days=40))
    assert first == again[1]
    keep(tmp_path, mail("touch-2"))
    assert "first" in page(tmp_path / "2026-11" / "touch-1.html").words
    assert 3 == write_index(tmp_path)


def test_nothing_of_a_message_runs_or_leaves_its_frame(tmp_path: Path) -> None:
    keep(tmp_path, mail(subject="</title><script>1</script>", text="<img src=x onerror=1>", to='"><b>@x.example'))
    elements = page(tmp_path / "2026-11" / "touch-1.html")
    assert [] == elements.all("script") + elements.all("img") + elements.all("b")
    (frame,) = elements.all("iframe")
    # sandboxed to the last right
    assert ("", "<h1>Hola</h1><script>alert(1)</script>") == (frame["sandbox"], frame["srcdoc"])
    assert frame["title"]


def test_an_sms_shows_its_length_its_parts_and_what_makes_it_long(tmp_path: Path) -> None:
    keep(tmp_path, sms("touch-1", "á" * 71), sms("touch-2", "a" * 160))
    assert "71 of 134 UCS-2 characters2 segmentsNot in GSM-7: á" in page(tmp_path / "2026-11" / "touch-1.html").words
    assert "160 of 160 GSM-7 characters1 segment" in page(tmp_path / "2026-11" / "touch-2.html").words


def test_only_their_owner_may_read_captured_messages(tmp_path: Path) -> None:
    folder = tmp_path / "captured"
    keep(folder, mail())
    write_index(folder)
    modes = {path.stat().st_mode & 0o077 for path in [folder, *folder.rglob("*")]}
    assert {0} == modes


@pytest.mark.parametrize("touch_id", ["../../etc/passwd", "a/b", "", ".hidden", "a\x00b"])
def test_a_touch_id_that_is_no_file_name_is_refused(tmp_path: Path, touch_id: str) -> None:
    folder = tmp_path / "captured"
    assert [Answer(kind="rejected_message", code="bad_touch_id")] == keep(folder, mail(touch_id))
    assert [] == list(tmp_path.rglob("*.html"))


def test_the_index_lists_newest_first_in_pages_that_lead_to_each_other(tmp_path: Path) -> None:
    count = 2 * PAGE_SIZE + 1
    keep(tmp_path, *(mail(f"touch-{n:04d}", subject=f"Subject {n}") for n in range(count)))
    assert count == write_index(tmp_path)
    seen: list[str] = []
    at = tmp_path / "index.html"
    while True:
        links = page(at).all("a")
        seen += [str(link["href"]) for link in links if "touch-" in str(link["href"])]
        nexts = {link["href"] for link in links if link.get("rel") == "next"}
        if not nexts:
            break
        at = at.parent / str(nexts.pop()).replace("%7E", "~")
    names = [re.sub(r".*/(touch-\d+)\.html", r"\1", href) for href in seen]
    assert [f"touch-{n:04d}" for n in reversed(range(count))] == names


def test_every_link_of_the_index_leads_to_a_page(tmp_path: Path) -> None:
    odd = "a/b & <c> ~ ..%2F"
    keep(tmp_path, mail("touch-1"), mail("touch-2", journey=odd), sms("touch-3"), sms("touch-4", journey=odd))
    write_index(tmp_path)
    pages = [tmp_path / "index.html", *(tmp_path / "pages").glob("*.html")]
    # all, two journeys, two channels, four of both
    assert 1 + 2 + 2 + 4 == len(pages)
    for path in pages:
        for link in page(path).all("a"):
            assert (path.parent / unquote(str(link["href"]))).is_file()


def test_a_filter_lists_its_messages_alone(tmp_path: Path) -> None:
    keep(tmp_path, mail("touch-1"), mail("touch-2", journey="birthday"), sms("touch-3", journey="birthday"))
    write_index(tmp_path)
    links = page(tmp_path / "pages" / "birthday~sms~1.html").all("a")
    assert ["../2026-11/touch-3.html"] == [link["href"] for link in links if "touch" in str(link["href"])]


def test_a_process_that_died_half_way_leaves_an_index_that_can_be_read(tmp_path: Path) -> None:
    keep(tmp_path, mail("touch-1"), mail("touch-2"))
    # died in the middle of a line, and before the page of another
    (tmp_path / "2026-11" / "touch-2.html").unlink()
    with (tmp_path / "index.jsonl").open("ab") as index:
        index.write(b'{"at":"2026-11-22T0')
    keep(tmp_path, mail("touch-3"))
    assert 2 == write_index(tmp_path)
    keep(tmp_path, mail("touch-2"))
    assert 3 == write_index(tmp_path)


def test_pages_of_an_earlier_index_do_not_stay(tmp_path: Path) -> None:
    keep(tmp_path, mail("touch-1", journey="gone"), mail("touch-2"))
    write_index(tmp_path)
    (tmp_path / "2026-11" / "touch-1.html").unlink()
    write_index(tmp_path)
    assert [] == [path for path in (tmp_path / "pages").iterdir() if "gone" in path.name]


def test_an_empty_folder_has_an_index_that_says_so(tmp_path: Path) -> None:
    assert 0 == write_index(tmp_path)
    assert "0 messages" in page(tmp_path / "index.html").words
