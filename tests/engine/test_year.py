"""A grocer's purchases from files to messages: it adds up, nights stay quiet, the same files again change nothing.

CI lives the quarter that comes with the demo, `make soak` the whole year of REFERENCE_DATA. The data are in UTC, the
members in New York: local hours are worked out here from the dates on which the clocks change, not by what decides.

The year comes to 85,320 messages and 412,361 entries. On 26 November 2026 it took 485 s of processor time, 315 MiB at
most, on a machine that gave it a sixth of a core (51 minutes).
"""

from __future__ import annotations

import resource
from collections import Counter
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestrator import starter
from orchestrator.contact_log.reconcile import reconcile
from orchestrator.contact_log.verify import verify
from orchestrator.ingest.find import find_mapping
from orchestrator.ingest.load import load_mapping
from orchestrator.ingest.run import ingest
from orchestrator.project import Project, open_project
from orchestrator.runtimes.embedded.engine import Totals
from orchestrator.runtimes.embedded.project_runner import open_runner
from orchestrator.times import instant, micros

# the last purchases are of 31 December 2017; a month later their silences are over
UNTIL = datetime(2018, 1, 31, 5, tzinfo=UTC)
# (from, hours that New York is behind UTC), 2017 and 2018
CLOCK_CHANGES = (
    (datetime(2016, 11, 6, 6, tzinfo=UTC), 5),
    (datetime(2017, 3, 12, 7, tzinfo=UTC), 4),
    (datetime(2017, 11, 5, 6, tzinfo=UTC), 5),
    (datetime(2018, 3, 11, 7, tzinfo=UTC), 4),
)
# (hours of the day from, to (exclusive), weekdays from Monday = 0) by the shipped policies
HOURS = {"email": (8, 21, range(7)), "sms": (9, 20, range(6))}
# SMS rest on public holidays too: those of the state of New York on which the grocer sold
HOLIDAYS = {"2017-01-02", "2017-05-29", "2017-07-04", "2017-09-04", "2017-11-23", "2017-12-25", "2018-01-01"}
SOURCES = {"demographics.csv": "complete-journey/demographics", "baskets.csv.gz": "complete-journey/baskets"}
MEBIBYTE = 1 << 20


class Lived(NamedTuple):
    """A run of some data, and the same files once more."""

    project: Path
    first: Totals
    again: Totals
    # rows of the log after each
    entries: tuple[int, int]
    # resident memory in bytes as the events went by: (part of the way from 0 to 1, bytes)
    memory: list[tuple[float, int]]


def lived(folder: Path, data: Path) -> Lived:
    """Ingests the files of `data` and runs them to the end, twice."""
    starter.create(folder)
    with open_project(folder) as project:
        inputs = [ingested(project, data / name, mapping) for name, mapping in SOURCES.items()]
        memory: list[tuple[float, int]] = []

        def progressed(done: int, total: int) -> None:
            if not memory or done / total - memory[-1][0] >= 0.01:
                memory.append((done / total, resident()))

        runs, entries = [], []
        for _ in range(2):
            with open_runner(project) as runner:
                runs.append(runner.run(inputs, until=micros(UNTIL), progressed=progressed))
            entries.append(sum(row.log_n for row in project.store.progress()))
    return Lived(folder, runs[0], runs[1], (entries[0], entries[1]), memory)


def ingested(project: Project, file: Path, mapping: str) -> Path:
    """The file as events; written a second time it is the same, byte for byte."""
    out = project.path / "incoming" / f"{file.name.partition('.')[0]}.jsonl"
    out.parent.mkdir(exist_ok=True)
    loaded = load_mapping(find_mapping(mapping, project.path), shown_as=mapping)
    ingest([file], loaded, out)
    first = out.read_bytes()
    ingest([file], loaded, out)
    assert first == out.read_bytes()
    return out


def resident() -> int:
    """Bytes of memory in use now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def local(at: datetime) -> datetime:
    """The clock on the wall in New York, without the machine's knowledge of zones."""
    behind = [hours for since, hours in CLOCK_CHANGES if since <= at][-1]
    return at.replace(tzinfo=None) - timedelta(hours=behind)


@pytest.fixture(scope="module")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """The quarter of the demo."""
    with resources.as_file(resources.files("orchestrator.demo").joinpath("data")) as data:
        return lived(tmp_path_factory.mktemp("quarter") / "club", data)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory, reference_data: Path) -> Lived:
    """The whole year: 155,848 baskets."""
    return lived(tmp_path_factory.mktemp("year") / "club", reference_data / "data/complete-journey")


@pytest.fixture(params=["quarter", pytest.param("year", marks=[pytest.mark.soak, pytest.mark.timeout(3_600)])])
def run(request: pytest.FixtureRequest) -> Lived:
    found: Lived = request.getfixturevalue(request.param)
    return found


def test_all_of_it_was_lived(run: Lived) -> None:
    lines = sum(len(file.read_bytes().splitlines()) for file in (run.project / "incoming").iterdir())
    assert lines == run.first.arrivals
    assert run.first.calls > 1_000


def test_it_adds_up_and_the_chain_holds(run: Lived) -> None:
    with open_project(run.project) as project:
        books = reconcile(project.store)
        assert books.holds, (books.broken, books.differences)
        report = verify(project.store)
        assert report.ok, report.faults
        assert run.entries[1] == report.entries


def test_no_message_goes_out_in_the_quiet_hours_of_new_york(run: Lived) -> None:
    calls = Counter[str]()
    late: list[str] = []
    with open_project(run.project) as project:
        channel_of: dict[str, str] = {}
        for row in project.store.log():
            if row.kind == "touch" and row.state == "reserved":
                channel_of[row.touch_id] = row.channel
            if row.kind == "touch" and row.state == "attempting":
                channel = channel_of[row.touch_id]
                calls[channel] += 1
                opens, closes, days = HOURS[channel]
                at = local(instant(row.occurred_at))
                rests = channel == "sms" and at.date().isoformat() in HOLIDAYS
                if not (opens <= at.hour < closes and at.weekday() in days) or rests:
                    late.append(f"{channel} {at}")
    assert [] == late
    assert run.first.calls == sum(calls.values())
    assert {"email", "sms"} == set(calls)


def test_some_would_have_gone_out_at_night_by_the_clock_of_the_data(run: Lived) -> None:
    """Else the test of quiet hours would prove nothing: purchases of the evening wait, and UTC's hours are not kept."""
    deferred = attempted = False
    with open_project(run.project) as project:
        # one at a time: a year of entries, with their trails, is more than a laptop likes to hold
        for row in project.store.log():
            deferred = deferred or (row.verdict == "defer" and row.reason == "quiet_hours")
            attempted = attempted or (row.state == "attempting" and not 8 <= instant(row.occurred_at).hour < 21)
            if deferred and attempted:
                return
    raise AssertionError(f"deferred for quiet hours: {deferred}, attempted outside the same hours of UTC: {attempted}")


def test_the_same_files_again_change_nothing(run: Lived) -> None:
    assert (0, 0) == (run.again.arrivals, run.again.calls)
    assert run.entries[0] == run.entries[1]


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_memory_does_not_grow_with_the_year(year: Lived) -> None:
    """What is known of members is in the store; the second half of the year needs what the first needed."""
    # the first tenth fills the caches: all members enrol in it
    early = max(used for way, used in year.memory if 0.1 <= way < 0.5)
    late = max(used for way, used in year.memory if way >= 0.5)
    assert late - early < 32 * MEBIBYTE, f"{early / MEBIBYTE:.0f} MiB, then {late / MEBIBYTE:.0f} MiB"
