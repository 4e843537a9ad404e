"""Do-not-contact lists from a file: numbers and e-mail addresses, one a line, kept as keyed fingerprints alone."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from orchestrator.decide.addresses import read_address
from orchestrator.decide.law import LawBook
from orchestrator.errors import ContentError, Problem, UsageError
from orchestrator.stores.contract import Store
from orchestrator.times import micros
from orchestrator.vault import Vault

PHONES = ("sms", "whatsapp", "phone")
_STAMP = "checked-at:"
# names of a first column, in a first line that is a head
_HEADS = ("address", "phone", "number", "email")
_MOST_PROBLEMS = 50


class Entry(Struct, frozen=True):
    """One contact point of a list. Never shown: it is personal data."""

    # the channel it stands for; "" for every channel of the list that such an address fits
    channel: str
    # E.164, or a normalised e-mail address
    address: str

    def __repr__(self) -> str:
        """Without the address."""
        return f"Entry({self.channel!r})"

    def fits(self, channel: str) -> bool:
        """Whether it is an address of this channel, and meant for it."""
        right_kind = channel == "email" if "@" in self.address else channel in PHONES
        return right_kind and self.channel in ("", channel)


class Loaded(Struct, frozen=True, kw_only=True):
    """What was kept of a file, by list."""

    checked_at: datetime
    # name in the store (`National DNC`, `RNE/sms`) -> entries it holds now
    lists: dict[str, int]


def load_registry_file(path: Path, country: str = "") -> tuple[tuple[Entry, ...], datetime | None]:
    """The entries of a list, and when it was obtained if a line `# checked-at: <RFC 3339>` says so.

    One number or address a line, or `address,channel` as CSV; a head (`address,channel`) and lines with `#` are left
    aside. A national number is read with `country` (alpha-2). Raises ContentError with the lines that can't be read,
    without quoting them: a list that is read in part would let somebody through.
    """
    entries: list[Entry] = []
    problems: list[Problem] = []
    checked_at: datetime | None = None
    head = True
    for number, line in enumerate(_lines(path), start=1):
        text = line.strip()
        if text.startswith("#"):
            checked_at = _stamp(text, path, number) or checked_at
        elif head and text.lower().partition(",")[0] in _HEADS:
            head = False
        elif text:
            head = False
            entry = _entry(text, country)
            if entry is not None:
                entries.append(entry)
            elif len(problems) < _MOST_PROBLEMS:
                cure = "numbers in E.164, or give --country"
                problems.append(Problem(str(path), number, "neither a valid number nor an e-mail address", cure))
    if problems:
        raise ContentError(problems)
    return tuple(dict.fromkeys(entries)), checked_at


def keep_registry(
    book: LawBook, store: Store, vault: Vault, name: str, entries: Iterable[Entry], checked_at: datetime
) -> Loaded:
    """Replaces a list of the law book in the store; a list with an entry per channel is kept per channel.

    Raises UsageError where no pack reads a list of this name.
    """
    lists = {key: channels for key, channels in book.lists().items() if name in (key, key.partition("/")[0])}
    if not lists:
        known = sorted({key.partition("/")[0] for key in book.lists()})
        raise UsageError(f"no law pack reads a list {name!r}; there is: {', '.join(known)}")
    every = tuple(entries)
    kept: dict[str, int] = {}
    for key, channels in lists.items():
        prints = {
            vault.fingerprint(channel, entry.address) for entry in every for channel in channels if entry.fits(channel)
        }
        kept[key] = store.load_registry(key, sorted(prints), micros(checked_at))
    return Loaded(checked_at=checked_at, lists=kept)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ContentError([Problem(str(path), 1, f"can't be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ContentError([Problem(str(path), 1, "this file is not UTF-8 text", "save it as UTF-8")]) from None


def _entry(text: str, country: str) -> Entry | None:
    """An entry of one line; None where it is none."""
    cells = [cell.strip() for cell in next(csv.reader([text]))]
    address, channel = cells[0], cells[1] if len(cells) > 1 else ""
    if channel not in ("", "email", *PHONES):
        return None
    if channel == "email" or (not channel and "@" in address):
        found = read_address("email", address, country)
    else:
        found = read_address("phone", address, country)
    return Entry(channel, found.text) if found is not None else None


def _stamp(text: str, path: Path, number: int) -> datetime | None:
    """The instant after `checked-at:`; None where the line says nothing of it."""
    _, found, said = text.partition(_STAMP)
    if not found:
        return None
    try:
        at = datetime.fromisoformat(said.strip())
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ContentError([Problem(str(path), number, "checked-at is no instant", "such as 2026-11-20T06:00:00Z")])
    return at
