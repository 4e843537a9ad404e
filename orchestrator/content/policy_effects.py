"""What the house's policies come to, hour by hour, for some members on every channel: `channel_policies/golden.json`.

Cases say what must hold; the effects show everything else that a changed number changes, one line each, before anybody
is written to. They are compared by `orchestrator policy test` and written anew by `--write-effects`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from orchestrator.content.policies import HOUSE, load_policies, policy_files
from orchestrator.content.policy_cases import Case, Expected, Given, TouchGiven, ask
from orchestrator.decide.decision import reason_of
from orchestrator.decide.policies import HousePolicies
from orchestrator.errors import ContentError, Problem
from orchestrator.events.types import LimitData, PauseData, PreferencesData, Purpose

GOLDEN = "golden.json"
ZONE = ZoneInfo("Europe/Madrid")
# a Wednesday, the Saturday and the Sunday after it, a public holiday, both nights on which the clocks change
DAYS = (
    date(2026, 11, 18),
    date(2026, 11, 21),
    date(2026, 11, 22),
    date(2026, 12, 8),
    date(2026, 3, 29),
    date(2026, 10, 25),
)
PURPOSES: tuple[Purpose, ...] = ("marketing", "service")
_DAY = timedelta(days=1)


class Change(Struct, frozen=True, kw_only=True):
    """One day of one member on one channel that comes to something else than was written down."""

    # "email marketing, untouched, 2026-11-18 Wed"
    what: str
    # hours of the member's day and what they come to; () where the line is new, or gone
    before: tuple[str, ...]
    now: tuple[str, ...]


class Effects(Struct, frozen=True, kw_only=True):
    """What comparing, or writing, the effects came to."""

    # lines that the grid has
    lines: int
    changes: tuple[Change, ...] = ()
    # there was no file to compare with
    missing: bool = False
    written: bool = False

    @property
    def ok(self) -> bool:
        """Whether the policies come to what is written down."""
        return not self.changes


def check_effects(folder: Path, journeys: Mapping[str, str] | None = None, *, write: bool = False) -> Effects:
    """Compares the effects of a policy folder with its `golden.json`; with `write`, writes it anew.

    Raises ContentError where policies or file can't be read. A folder without the file is no failure.
    """
    policies, channels = load_policies(folder, journeys), _channels(folder)
    path = folder / GOLDEN
    before = _read(path)
    if write:
        now = effects(policies, channels)
        text = msgspec.json.format(msgspec.json.encode(now), indent=1).decode()
        path.write_text(f"{text}\n", encoding="utf-8")
        return Effects(lines=len(now), missing=before is None, written=True)
    if before is None:
        # some ten thousand hours are decided on for the lines, which nobody would look at
        return Effects(lines=sum(1 for _ in _grid(channels)), missing=True)
    now = effects(policies, channels)
    changes = tuple(
        Change(what=what, before=before.get(what, ()), now=now.get(what, ()))
        for what in sorted({*now, *before})
        if before.get(what, ()) != now.get(what, ())
    )
    return Effects(lines=len(now), changes=changes)


def effects(policies: HousePolicies, channels: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """A line for each member, channel, purpose and day: the hours of the day, and what each comes to."""
    return {
        f"{channel} {purpose}, {name}, {day} {day:%a}": _day(policies, channel, purpose, given, day)
        for channel, purpose, day, name, given in _grid(channels)
    }


def _grid(channels: Iterable[str]) -> Iterator[tuple[str, Purpose, date, str, Given]]:
    """Whom the grid asks about, of what, on which day; a line for each."""
    for channel in channels:
        for purpose in PURPOSES:
            for day in DAYS:
                for name, given in _members(day).items():
                    yield channel, purpose, day, name, given


def _members(day: date) -> dict[str, Given]:
    """Whom the grid asks about: one in good order, and one for each kind of reason to be careful."""
    noon = datetime(day.year, day.month, day.day, 11, tzinfo=UTC)
    touched = {days: TouchGiven(channel="email", at=noon - timedelta(days=days, hours=1)) for days in range(1, 8)}
    text = TouchGiven(channel="sms", at=noon - timedelta(days=2))
    return {
        "untouched": Given(),
        "one e-mail yesterday": Given(touches=(touched[1],)),
        "three e-mails in six days": Given(touches=(touched[2], touched[4], touched[6])),
        "a text two days ago": Given(touches=(text,)),
        "a message on its way": Given(touches=(TouchGiven(channel="push"),)),
        "no consent": Given(consent="none"),
        "former member": Given(status="cancelled"),
        "complaint open": Given(complaints=1),
        "asked for one a week": Given(preferences=PreferencesData(limit=LimitData(max=1, per="week")), touches=(text,)),
        "in a pause to noon": Given(preferences=PreferencesData(pause=PauseData(until=noon))),
        "zone unknown": Given(zones=()),
    }


def _day(policies: HousePolicies, channel: str, purpose: Purpose, given: Given, day: date) -> tuple[str, ...]:
    given = msgspec.structs.replace(given, channel=channel, purpose=purpose)
    hours = [(at, _says(policies, given, at)) for at in _hours(day)]
    found = []
    for says, same in groupby(hours, key=lambda hour: hour[1]):
        first, *rest = [at for at, _ in same]
        last = rest[-1] if rest else first
        found.append(f"{first:%H:%M}-{last + timedelta(hours=1):%H:%M} {says}")
    return tuple(found)


def _hours(day: date) -> Iterator[datetime]:
    """Every hour of a local day: 23, 24 or 25 of them."""
    at = datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)
    while at.astimezone(ZONE).date() == day:
        yield at.astimezone(ZONE)
        at += timedelta(hours=1)


def _says(policies: HousePolicies, given: Given, at: datetime) -> str:
    """`pass`, `suppress no_consent`, `defer quiet_hours until 2026-11-19 08:00`, on the member's clock."""
    tried = ask(policies, Case(case="an hour of a grid", given=given, at=at, expect=Expected(says="pass")), "")
    until = "" if tried.release_at is None else f"until {tried.release_at.astimezone(ZONE):%Y-%m-%d %H:%M:%S}"
    return " ".join(filter(None, (tried.says, reason_of(tried), until)))


def _channels(folder: Path) -> tuple[str, ...]:
    return tuple(path.stem for path in policy_files(folder) if path.stem != HOUSE)


def _read(path: Path) -> dict[str, tuple[str, ...]] | None:
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, tuple[str, ...]])
    except msgspec.DecodeError as error:
        cure = "orchestrator policy test --write-effects"
        raise ContentError([Problem(f"{path.parent.name}/{path.name}", 1, f"no effects: {error}", cure)]) from None
