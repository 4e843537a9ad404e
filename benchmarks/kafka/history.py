"""A long past, loaded by COPY: members with state and keys, and a contact log whose chains verify.

    python -m benchmarks.kafka.history      reads a `Share` as JSON, loads it, writes the ends of its chains as JSON

A few lives are lived through `step` with the shipped content; each member of the past had one of them, under a name, a
reference, a key and ids of its own. Every member has the same number of log rows, all in one month of the ten that end
where a store's own months begin, and all of it was told to the topics. What is left out: journal and index of
duplicates, which nothing here reads, and timers.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
import psycopg
from msgspec import Struct
from msgspec.structs import replace
from psycopg import sql

from benchmarks.kafka.load import Record, record
from orchestrator.contact_log import chain
from orchestrator.decide.content import Content
from orchestrator.decide.member import Member
from orchestrator.decide.result import Entry, Result
from orchestrator.decide.shared import Shared
from orchestrator.decide.step import step
from orchestrator.events.inputs import EventInput, Input, Outcome
from orchestrator.events.partition import partition_of
from orchestrator.links import Links
from orchestrator.project import Project, open_project
from orchestrator.stores.contract import KeyRow, MemberRow
from orchestrator.stores.sql.postgres import statements as words
from orchestrator.testing.builders import enrolled, purchase
from orchestrator.times import micros

MONTHS = 10
PROCESSES = 2
LIVES = 40
# a generous guess of what a log row and a member take on disk, indexes and write-ahead log included
ROW_BYTES, MEMBER_BYTES = 2_500, 6_000

_encode = msgspec.json.Encoder().encode


class Share(Struct, kw_only=True):
    """What one process loads: every `of`-th partition, from `first` on."""

    project: str
    url: str
    zone: str
    members: int
    rows_each: int
    first: int
    of: int


class End(Struct, kw_only=True):
    """Where a partition's chain ended."""

    partition: int
    turn: int
    clock: int
    log_n: int
    head: bytes


class Life(NamedTuple):
    """A member as a life left it, and the log entries of each turn of it."""

    member: Member
    turns: list[tuple[Entry, ...]]


def name_of(number: int) -> str:
    """A member of the past."""
    return f"past-{number}"


def space_missing(folder: Path, log_rows: int, members: int) -> str:
    """What the disk under `folder` lacks for such a past; "" where it suffices."""
    wanted, free = log_rows * ROW_BYTES + members * MEMBER_BYTES, shutil.disk_usage(folder).free
    return "" if free > wanted else f"{wanted / 1e9:.0f} GB of disk are needed and {free / 1e9:.0f} are free"


def load(project: Project, url: str, zone: str, members: int, log_rows: int) -> None:
    """Fills the project's store, which is empty and that no worker has opened yet."""
    months = _months()
    with psycopg.connect(url, autocommit=True) as store:
        for piece, _, _ in months:
            store.execute(sql.SQL("CREATE TABLE {} (LIKE log INCLUDING DEFAULTS)").format(sql.Identifier(piece)))
        ends = _in_processes(project, url, zone, members, log_rows // members)
        for piece, since, until in months:
            # its indexes are made here, all rows at once
            attach = sql.SQL("ALTER TABLE log ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})")
            store.execute(attach.format(sql.Identifier(piece), since, until))
        put = "INSERT INTO progress (partition, epoch, next_offset, turn, clock, log_n, head, source) VALUES"
        for end in ends:
            row = (end.partition, end.turn, end.clock, end.log_n, end.head)
            store.execute(f"{put} (%s, 0, 0, %s, %s, %s, %s, '')".encode(), row)
            for topic in (project.settings.kafka.decisions, project.settings.kafka.touches):
                told = "INSERT INTO cursors (partition, topic, n) VALUES (%s, %s, %s)"
                store.execute(told, (end.partition, topic, end.log_n))
        store.execute("ANALYZE")
    # it was lived under this revision: a worker that puts it in force anew would first plan a moment for each member
    project.store.replace_document("revision", "active", None, project.content.revision.encode(), [])


def purchases(first: int, count: int, members: int, partitions: int, at: datetime) -> list[Record]:
    """One purchase each of so many different members of the past, drawn from all of them; every fourth earns thanks."""
    # a step that no number of members shares a factor with goes past all of them
    step_by = 7_368_787
    numbers = (i * step_by % members for i in range(first, first + count))
    return [
        record(purchase(name_of(n), at, 300 if i % 4 else 2_500, id=f"{first}-{n}"), partitions)
        for i, n in enumerate(numbers)
    ]


def _months() -> list[tuple[str, int, int]]:
    """Piece of the log, and the microseconds it begins and ends at; the newest ends before the months a store makes."""
    found, end = [], (datetime.now(UTC).replace(day=1) - timedelta(days=1)).replace(day=1)
    end = end.replace(hour=0, minute=0, second=0, microsecond=0)
    for _ in range(MONTHS):
        begin = (end - timedelta(days=1)).replace(day=1)
        found.append((f"log_{begin:%Y_%m}", micros(begin), micros(end)))
        end = begin
    return found[::-1]


def _in_processes(project: Project, url: str, zone: str, members: int, rows_each: int) -> list[End]:
    # each reads the content first, which takes longer than a few members do
    of = PROCESSES if members > 10_000 else 1
    shares = [
        Share(project=str(project.path), url=url, zone=zone, members=members, rows_each=rows_each, first=i, of=of)
        for i in range(of)
    ]
    loading = []
    for share in shares:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.kafka.history"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        process.stdin.write(_encode(share))
        process.stdin.close()
        loading.append(process)
    said = [process.stdout.read() for process in loading if process.stdout is not None]
    if any(process.wait() for process in loading):
        raise RuntimeError("the past was not loaded")
    return [end for each in said for end in msgspec.json.decode(each, type=list[End])]


# --- in a process of its own


def load_share(share: Share) -> list[End]:
    """Loads it, month by month; where the chains ended."""
    with open_project(Path(share.project)) as project:
        lives = [_live(project, number, share.zone, share.rows_each) for number in range(LIVES)]
        partitions = project.settings.store.partitions
        mine = {p: End(partition=p, turn=0, clock=0, log_n=0, head=chain.GENESIS) for p in range(partitions)}
        mine = {p: end for p, end in mine.items() if p % share.of == share.first}
        for month, (piece, since, _) in enumerate(_months()):
            homes: dict[int, list[int]] = {partition: [] for partition in mine}
            for number in range(month, share.members, MONTHS):
                if (home := partition_of(name_of(number), partitions)) in homes:
                    homes[home].append(number)
            with ExitStack() as open_copies:
                tables = (words.MEMBERS, words.KEYS, words.LOG._replace(table=piece))
                copies = [_copy(open_copies, share.url, table) for table in tables]
                for partition, numbers in homes.items():
                    _partition(project, lives, mine[partition], numbers, since, copies)
        return list(mine.values())


def _copy(open_copies: ExitStack, url: str, columns: words.Columns) -> psycopg.Copy:
    store = open_copies.enter_context(psycopg.connect(url))
    copy = open_copies.enter_context(store.cursor().copy(columns.copy.encode()))
    copy.set_types(columns.types)
    return copy


def _partition(
    project: Project,
    lives: Sequence[Life],
    end: End,
    numbers: Sequence[int],
    since: int,
    copies: Sequence[psycopg.Copy],
) -> None:
    """The members of one partition in one month, one after the other; moves the chain's end."""
    members, keys, log = copies
    turns = sum(len(lives[number % LIVES].turns) for number in numbers)
    spacing = 27 * 86_400_000_000 // (turns + 1)
    at = since
    for number in numbers:
        life, name = lives[number % LIVES], name_of(number)
        ref, wrapped, sealer = project.vault.new_key()
        state = sealer.seal(_encode(replace(life.member, id=name, ref=ref)))
        members.write_row(MemberRow(end.partition, project.vault.member(name), ref, state, erased=False))
        keys.write_row(KeyRow(ref, wrapped))
        for entries in life.turns:
            at += spacing
            end.turn, end.clock = end.turn + 1, at
            named = [_named(entry, ref[:18]) for entry in entries]
            revision = project.content.revision
            rows, end.log_n, end.head = chain.append(
                end.partition, end.log_n, end.head, end.turn, at, ref, revision, named
            )
            for row in rows:
                log.write_row(row)


def _named(entry: Entry, own: str) -> Entry:
    """The entry with ids that nobody else's has."""
    changes = {name: own + text[18:] for name in ("intent_id", "touch_id") if (text := getattr(entry, name))}
    return replace(entry, **changes)


def _live(project: Project, number: int, zone: str, rows: int) -> Life:
    """A member who joins and buys until the log has so many rows of it; every message is accepted at once."""
    name, content, at = name_of(number), project.content, datetime.now(UTC) - timedelta(days=200)
    shared = Shared(
        key=project.vault.id_key,
        fingerprint=project.vault.fingerprint,
        links=Links(project.vault),
        new_ref=f"{number:032x}",
    )
    # four of five agreed to letters, one of three to texts
    agreed = [*(["email"] if number % 5 else []), *(["sms"] if number % 3 == 0 else [])]
    joins = enrolled(name, at, consents=tuple(agreed), zone=zone)
    turns: list[tuple[Entry, ...]] = []
    member: Member | None = None
    inputs: tuple[Input, ...] = (EventInput(joins),)
    while sum(map(len, turns)) < rows:
        for result in _turns(member, shared, inputs, content, at):
            member = result.member
            turns.append(result.entries)
        at += timedelta(days=3, minutes=number)
        inputs = (EventInput(purchase(name, at, 2_500 + number)),)
    while (over := sum(map(len, turns)) - rows) > 0:
        turns[-1] = turns[-1][:-over]
        if not turns[-1]:
            turns.pop()
    assert member is not None
    return Life(replace(member, pending={}, instances=(), timers={}), turns)


def _turns(
    member: Member | None, shared: Shared, inputs: tuple[Input, ...], content: Content, at: datetime
) -> Iterator[Result]:
    result = step(member, shared, inputs, content, at)
    yield result
    reserved: Mapping[str, object] = {each.touch_id: each for each in result.reservations}
    for touch in reserved:
        accepted = Outcome(touch_id=touch, kind="accepted", attempt=1, attempted_at=at, occurred_at=at, final=True)
        result = step(result.member, shared, (accepted,), content, at)
        yield result


if __name__ == "__main__":
    done = load_share(msgspec.json.decode(sys.stdin.buffer.read(), type=Share))
    sys.stdout.buffer.write(_encode(done))
