"""Keeps each message where a person can open it: `<folder>/<YYYY-MM>/<touch id>.html`.

A line in `index.jsonl` comes first, then the page, at once and whole (written aside and renamed). A page that is there
was accepted, and is never written again: the same touch twice is one message. After a crash between the two, the line
has no page; the index leaves it out, and the touch, sent again, gets its page then.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

import msgspec

from orchestrator.channels.capabilities import refusal
from orchestrator.channels.capture.index import INDEX, Line, month_folders
from orchestrator.channels.capture.page import page
from orchestrator.channels.contract import Answer, Capabilities, Message
from orchestrator.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
# a call is a write of one small file: many share one transaction of the outbox
SLOTS = 128
TITLE = 100


class Capture:
    """One channel's messages, kept on disk. The files hold addresses and words: only their owner may read them."""

    def __init__(self, channel: str, folder: Path, clock: Callable[[], datetime]) -> None:
        """`clock` gives the instant that a page shows and the month it is put into: aware."""
        self.channel = channel
        self.slots = SLOTS
        self.capabilities = Capabilities(media=True)
        self._folder, self._clock = folder, clock
        # names of the months' folders; None: to be looked at
        self._months: list[str] | None = None
        self._kept = _Kept()
        self._index: int | None = None

    def __repr__(self) -> str:
        return f"Capture({self.channel})"

    async def send(self, message: Message) -> Answer:
        """Keeps the message: accepted. A disk that refuses is transient; a touch id must be a file name."""
        at = self._clock().astimezone(UTC)
        if refused := refusal(message, self.capabilities, at):
            return refused
        if not _NAME.fullmatch(message.touch_id):
            return Answer(kind="rejected_message", code="bad_touch_id")
        try:
            self._keep(message, at)
        except OSError as error:
            self._forget()
            return Answer(kind="transient", code=f"errno {error.errno}")
        except ValueError:
            # a lone surrogate: no text that any provider would carry
            return Answer(kind="rejected_message", code="bad_text")
        return Answer(kind="accepted", provider_id=message.touch_id)

    async def close(self) -> None:
        """Closes the index."""
        self._forget()

    def _keep(self, message: Message, at: datetime) -> None:
        # paths are plain text here: composing `Path`s took longer than writing the page
        folder, months = str(self._folder), self._open() if self._months is None else self._months
        month, name = f"{at:%Y-%m}", f"{message.touch_id}.html"
        path = f"{folder}/{month}/{name}"
        if os.path.exists(path) or (  # noqa: PTH110 - as above
            name in self._kept and any(os.path.exists(f"{folder}/{other}/{name}") for other in months)  # noqa: PTH110 - as above
        ):
            return
        html = page(message, at).encode()
        if month not in months:
            (self._folder / month).mkdir(mode=0o700, exist_ok=True)
            months.append(month)
        self._note(message, at, f"{month}/{name}")
        aside = f"{folder}/{month}/.{message.touch_id}.{os.getpid()}"
        file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write(file, html)
        finally:
            os.close(file)
        os.replace(aside, path)  # noqa: PTH105 - as above
        self._kept.add(name)

    def _note(self, message: Message, at: datetime, path: str) -> None:
        if self._index is None:
            self._index = os.open(self._folder / INDEX, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            size = os.fstat(self._index).st_size
            if size and os.pread(self._index, 1, size - 1) != b"\n":
                # an earlier process died in the middle of a line
                _write(self._index, b"\n")
        line = Line(
            at=at,
            path=path,
            touch_id=message.touch_id,
            channel=message.channel,
            journey=message.journey,
            to=message.to,
            title=_title(message),
        )
        _write(self._index, msgspec.json.encode(line) + b"\n")

    def _open(self) -> list[str]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folders = month_folders(self._folder)
        for folder in folders:
            for entry in os.scandir(folder):
                self._kept.add(entry.name)
        self._months = [folder.name for folder in folders]
        return self._months

    def _forget(self) -> None:
        """The folder may have changed under us: look again before the next message."""
        if self._index is not None:
            os.close(self._index)
        self._index = self._months = None


class _Kept:
    """Names of pages: one that was added is in it; one that was not is, once in a while, too.

    Eight million bits, one for each name: what it costs to ask, and to hold, does not grow with the months.
    """

    _BYTES = 1 << 20

    def __init__(self) -> None:
        self._bits = bytearray(self._BYTES)

    def add(self, name: str) -> None:
        place, bit = self._place(name)
        self._bits[place] |= bit

    def __contains__(self, name: str) -> bool:
        place, bit = self._place(name)
        return bool(self._bits[place] & bit)

    def _place(self, name: str) -> tuple[int, int]:
        number = crc32(name.encode())
        return (number >> 3) % self._BYTES, 1 << (number & 7)


def _title(message: Message) -> str:
    """The subject, or how the text begins."""
    title = message.subject or message.text
    return title if len(title) <= TITLE else title[: TITLE - 1] + "…"


def _write(file: int, raw: bytes) -> None:
    """All of it: one call of `write` may take less, when the disk is full."""
    while raw:
        raw = raw[os.write(file, raw) :]


def open_adapter(channel: str, settings: Settings, project: Path, clock: Callable[[], datetime]) -> Capture:
    """Messages of this channel go to the project's `capture_dir`."""
    return Capture(channel, project / settings.dispatch.capture_dir, clock)
