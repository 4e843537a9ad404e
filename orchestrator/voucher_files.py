"""Files of voucher codes, loaded into a pool: safe to repeat, each row that is not taken told with its line.

A file is a code a line, or CSV with a header that names a column `code`; plain or gzip. No code is ever quoted.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from orchestrator.decide.content import Pool
from orchestrator.decide.vouchers import fingerprint_of
from orchestrator.errors import UsageError
from orchestrator.ingest.rows import opened
from orchestrator.located import nearest
from orchestrator.stores.contract import Store
from orchestrator.vault import Vault
from orchestrator.vouchers import put_codes

COLUMN = "code"
# rows in one transaction, and rows not taken that a report lists; all are counted
ROWS = 1_000
LISTED = 1_000
_SOUND = re.compile(r"[!-~]{1,64}")
_BETWEEN = re.compile(r"[,;\t]")


class NotTaken(Struct, frozen=True, kw_only=True):
    """One row that added nothing."""

    # the physical line that it ends on, from 1
    line: int
    reason: str
    cure: str


class Loaded(Struct, frozen=True, kw_only=True):
    """What became of a file; rows = added + known + refused."""

    pool: str
    rows: int
    # codes that are in the pool since
    added: int
    # codes that were in it before this file, or further up in it: left, given or spent
    known: int
    # rows that hold no code that can be taken
    refused: int
    # codes of the pool that are left now
    left: int
    # the first thousand that are known or refused
    not_taken: tuple[NotTaken, ...]


class _Row(NamedTuple):
    line: int
    # "": it holds none
    code: str


def load(
    store: Store,
    vault: Vault,
    pools: Mapping[str, Pool],
    pool: str,
    file: Path,
    *,
    column: str = COLUMN,
    moved: Callable[[int], None] = lambda _read: None,
) -> Loaded:
    """Adds the codes of a file to a pool, in its order; `moved` hears how many bytes of the file were read so far.

    A thousand rows are one transaction: a load that was cut off is done again, and adds what is missing. Raises
    UsageError for a pool that is not declared, and a file that can't be read or lacks the column.
    """
    if pool not in pools:
        cure = nearest(pool, pools) if pools else "declare it in templates/vouchers.yaml"
        raise UsageError(f"there is no pool {pool!r} of voucher codes; {cure}")
    found = _Tally()
    with opened(file) as (raw, read):
        text = io.TextIOWrapper(raw, "utf-8-sig", errors="replace", newline="")
        try:
            rows = _rows(text, file.name, column)
            while chunk := list(islice(rows, ROWS)):
                _add(store, vault, pool, chunk, found)
                moved(read())
        finally:
            # whoever opened it closes it
            text.detach()
    store.filled(pool, pools[pool].low_water)
    left = next((row.left for row in store.pools() if row.pool == pool), 0)
    return Loaded(
        pool=pool,
        rows=found.rows,
        added=found.added,
        known=found.known,
        refused=found.refused,
        left=left,
        not_taken=tuple(found.not_taken),
    )


class _Tally:
    def __init__(self) -> None:
        self.rows = self.added = self.known = self.refused = 0
        self.not_taken: list[NotTaken] = []

    def leave(self, line: int, reason: str, cure: str) -> None:
        if len(self.not_taken) < LISTED:
            self.not_taken.append(NotTaken(line=line, reason=reason, cure=cure))


def _rows(text: Iterable[str], name: str, column: str) -> Iterator[_Row]:
    """The rows of a file; raises UsageError for CSV without the column. Empty lines are none."""
    lines = iter(text)
    first = next(lines, "")
    header = [word.strip().strip('"').casefold() for word in _BETWEEN.split(first)]
    if column.casefold() not in header:
        if len(header) > 1:
            raise UsageError(f"{name}: its header names no column {column!r}; name the one of the codes with --column")
        for number, line in enumerate(chain([first], lines), 1):
            if line.strip():
                yield _Row(number, line.strip())
        return
    between = _BETWEEN.search(first)
    place = header.index(column.casefold())
    reader = csv.reader(lines, delimiter=between[0] if between else ",")
    while True:
        try:
            cells = next(reader, None)
        except csv.Error:
            yield _Row(reader.line_num + 1, "")
            continue
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield _Row(reader.line_num + 1, cells[place].strip() if place < len(cells) else "")


def _add(store: Store, vault: Vault, pool: str, rows: list[_Row], found: _Tally) -> None:
    """One transaction's worth of rows."""
    codes: dict[str, str] = {}
    lines: dict[str, int] = {}
    for row in rows:
        found.rows += 1
        if not _SOUND.fullmatch(row.code):
            found.refused += 1
            cure = "a code is 1 to 64 letters, digits and signs of ASCII, without spaces"
            found.leave(row.line, "no_code", cure)
            continue
        fingerprint = fingerprint_of(vault.fingerprint, row.code)
        if fingerprint in lines:
            found.known += 1
            found.leave(row.line, "twice", f"the same as line {lines[fingerprint]}")
            continue
        codes[fingerprint], lines[fingerprint] = row.code, row.line
    there = put_codes(store, vault, pool, codes.values())
    found.added += len(codes) - len(there)
    for fingerprint, where in there.items():
        if where == pool:
            found.known += 1
            found.leave(lines[fingerprint], "known", "it was loaded before: nothing to do")
        else:
            found.refused += 1
            found.leave(lines[fingerprint], "in_another_pool", f"it belongs to the pool {where}: a code is given once")
