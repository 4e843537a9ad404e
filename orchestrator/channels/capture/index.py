"""The list of captured messages: pages of at most 500, newest first, for all and for each journey and channel.

Plain HTML: a filter is a link to another page. The lines of `index.jsonl` are read one by one, twice; what is held is
a number for each line and one page of rows.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterable, Iterator
from datetime import datetime
from html import escape
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import msgspec
from msgspec import Struct

from orchestrator.channels.capture.page import document
from orchestrator.masked import hiding

INDEX = "index.jsonl"
PAGES = "pages"
PAGE_SIZE = 500
_MONTH = re.compile(r"\d{4}-\d{2}")

_STYLE = """
main{max-width:80rem}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.4rem;padding:0;margin:.3rem 0 .9rem}
nav li a{display:block;padding:.25rem .8rem;border:1px solid var(--line);border-radius:99px;background:var(--paper);
text-decoration:none}
nav li span{opacity:.75;font-size:.9em;margin-inline-start:.25rem}
nav li a[aria-current]{background:var(--accent);border-color:var(--accent);color:var(--paper);font-weight:600}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:start;padding:.45rem .9rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600;white-space:nowrap}
tbody tr:last-child td{border-bottom:0}tbody tr:hover{background:var(--ground)}
td,th{white-space:nowrap}td:nth-child(2){white-space:normal;width:50%;min-width:14rem}
@media(max-width:44rem){thead{position:absolute;clip-path:inset(50%)}
tbody tr{display:flex;flex-wrap:wrap;gap:0 .9rem;padding:.6rem .9rem;border-bottom:1px solid var(--line)}
tbody td{padding:0;border:0;color:var(--soft);font-size:.9em}
td:nth-child(2){order:-1;width:100%;min-width:0;font-size:1em}}
.turn{display:flex;gap:1.2rem;align-items:center;margin:1rem 0}
"""


class Line(Struct, frozen=True, kw_only=True):
    """One line of `index.jsonl`: what the list shows of a message."""

    at: datetime
    # relative to the folder
    path: str
    touch_id: str
    channel: str
    journey: str
    to: str
    # the subject, or how the text begins
    title: str

    __repr__ = hiding("to", "title")


_line = msgspec.json.Decoder(Line)
# "" stands for all
Filter = tuple[str, str]


def month_folders(folder: Path) -> list[Path]:
    """The folders that hold messages, oldest first."""
    return sorted(entry for entry in folder.iterdir() if _MONTH.fullmatch(entry.name)) if folder.is_dir() else []


def write_index(folder: Path) -> int:
    """Writes `index.html` and further pages beside the messages; how many messages they list.

    A message without its page is left out, and a touch noted twice is listed once. Pages of an earlier index that are
    not part of this one are removed.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / PAGES).mkdir(mode=0o700, exist_ok=True)
    (folder / INDEX).touch(mode=0o600)
    with (folder / INDEX).open("rb") as lines:
        found = _found(folder, lines)
        written = {_write_page(folder, lines, found, key, n) for key in found for n in range(_pages(found[key]))}
    for stale in (folder / PAGES).glob("*.html"):
        if stale.name not in written:
            stale.unlink()
    return len(found["", ""])


def _found(folder: Path, lines: BinaryIO) -> dict[Filter, array[int]]:
    """(journey, channel) -> where the lines of its messages begin, oldest first."""
    there = {f"{month.name}/{entry.name}" for month in month_folders(folder) for entry in os.scandir(month)}
    found: dict[Filter, array[int]] = {("", ""): array("Q")}
    begin = 0
    for raw in lines:
        try:
            line = _line.decode(raw)
        except msgspec.MsgspecError:
            line = None
        # taken out once listed: the first line of a touch stands
        if line is not None and line.path in there:
            there.remove(line.path)
            for key in {("", ""), (line.journey, ""), ("", line.channel), (line.journey, line.channel)}:
                found.setdefault(key, array("Q")).append(begin)
        begin += len(raw)
    return found


def _pages(begins: array[int]) -> int:
    return max(1, -(-len(begins) // PAGE_SIZE))


def _write_page(folder: Path, lines: BinaryIO, found: dict[Filter, array[int]], key: Filter, n: int) -> str:
    """Page `n` (0: the newest messages) of a filter; its file's name."""
    name, first = _name(key, n), (key, n) == (("", ""), 0)
    up = "" if first else "../"
    begins = found[key][::-1][n * PAGE_SIZE : (n + 1) * PAGE_SIZE]
    rows = "".join(_row(line, up) for line in _read(lines, begins))
    total, pages = len(found[key]), _pages(found[key])
    turn = _turn(key, n, pages, up)
    main = (
        f"<h1>Captured messages</h1>{_filters(found, key, up)}"
        f'<p class="soft">{total:,} messages, newest first. Times are UTC.</p>{turn}'
        '<div class="card scroll"><table><thead><tr><th scope="col">Sent</th><th scope="col">Message</th>'
        '<th scope="col">Channel</th><th scope="col">Journey</th><th scope="col">To</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{turn}"
    )
    target = folder / "index.html" if first else folder / PAGES / name
    aside = target.with_name(f".{target.name}")
    aside.write_text(document("Captured messages", main, _STYLE), encoding="utf-8")
    aside.chmod(0o600)
    aside.replace(target)
    return name


def _read(lines: BinaryIO, begins: Iterable[int]) -> Iterator[Line]:
    for begin in begins:
        lines.seek(begin)
        yield _line.decode(lines.readline())


def _row(line: Line, up: str) -> str:
    title = escape(line.title) or "(no words)"
    return (
        f"<tr><td>{line.at:%Y-%m-%d %H:%M:%S}</td>"
        f'<td><a href="{up}{escape(quote(line.path))}" dir="auto">{title}</a></td>'
        f"<td>{escape(line.channel)}</td><td>{escape(line.journey)}</td><td>{escape(line.to)}</td></tr>"
    )


def _name(key: Filter, n: int) -> str:
    """A file name for a page of a filter; `%` keeps odd names apart, `~` parts them."""
    journey, channel = (quote(part, safe="").replace("~", "%7E").replace(".", "%2E") for part in key)
    return f"{journey or 'all'}~{channel or 'all'}~{n + 1}.html"


def _href(key: Filter, n: int, up: str) -> str:
    if (key, n) == (("", ""), 0):
        return f"{up}index.html"
    return f"{'' if up else f'{PAGES}/'}{quote(_name(key, n))}"


def _filters(found: dict[Filter, array[int]], key: Filter, up: str) -> str:
    journey, channel = key
    journeys = sorted({name for name, _ in found})
    channels = sorted({name for _, name in found})
    return (
        '<nav aria-label="Filters">'
        + _choices("Journey", [(name, (name, channel)) for name in journeys], found, key, up)
        + _choices("Channel", [(name, (journey, name)) for name in channels], found, key, up)
        + "</nav>"
    )


def _choices(
    title: str, choices: list[tuple[str, Filter]], found: dict[Filter, array[int]], key: Filter, up: str
) -> str:
    """One row of links; what would list nothing is left out."""
    items = "".join(
        f'<li><a href="{_href(target, 0, up)}"{" aria-current=true" if target == key else ""}>'
        f"{escape(name) or 'All'} <span>{len(found[target]):,}</span></a></li>"
        for name, target in choices
        if target in found
    )
    return f'<span class="soft">{title}</span><ul>{items}</ul>'


def _turn(key: Filter, n: int, pages: int, up: str) -> str:
    if pages == 1:
        return ""
    back = f'<a rel="prev" href="{_href(key, n - 1, up)}">Newer</a>' if n else ""
    on = f'<a rel="next" href="{_href(key, n + 1, up)}">Older</a>' if n + 1 < pages else ""
    return f'<nav class="turn" aria-label="Pages">{back}<span>Page {n + 1} of {pages}</span>{on}</nav>'
