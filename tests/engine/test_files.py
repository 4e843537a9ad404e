"""Files of events: read once, resumed exactly, merged by time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.events.envelope import Event
from orchestrator.runtimes.embedded import engine
from orchestrator.testing.builders import enrolled, purchase
from orchestrator.testing.canonical import canonical
from orchestrator.testing.world import World, lines

START = datetime.fromisoformat("2026-03-02T15:00:00+00:00")
MEMBERS = ("ana", "ben", "cleo", "dora", "emil")


class Cut(Exception):
    """Somebody pulled the plug."""


def story() -> list[Event]:
    """Five members who join and buy, an hour apart."""
    joined = [enrolled(member, START + timedelta(minutes=i)) for i, member in enumerate(MEMBERS)]
    bought = [purchase(member, START + timedelta(hours=9 * (i + 1))) for i, member in enumerate(MEMBERS * 4)]
    return [*joined, *bought]


END = "2026-04-20T00:00:00Z"


def test_the_same_file_twice_changes_nothing(world: World, tmp_path: Path) -> None:
    file = lines(tmp_path / "events.jsonl", story())
    world.run_files(file, until=END)
    log, totals = list(world.store.log()), world.store.totals()
    copy = tmp_path / "another name.jsonl"
    copy.write_bytes(file.read_bytes())
    again = world.run_files(copy, until=END)
    assert 0 == again.arrivals
    assert log == list(world.store.log())
    assert totals == world.store.totals()


def test_a_file_that_has_grown_goes_on_at_its_new_lines(world: World, tmp_path: Path) -> None:
    file = lines(tmp_path / "events.jsonl", story()[:12])
    world.run_files(file)
    lines(file, story()[12:], append=True)
    totals = world.run_files(file, until=END)
    assert len(story()) - 12 == totals.arrivals
    assert 0 == world.total("duplicate")
    assert len(story()) == sum(row.next_offset for row in world.store.progress())


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_file_half_read_is_resumed_exactly_where_it_was_cut(
    world: World, new_world: Callable[[], World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    """The run ends between two batches, of a few lines of each partition; nothing is lost, nothing is read twice."""
    monkeypatch.setattr(engine, "SLICE", 2)
    monkeypatch.setattr(engine, "WINDOW", 7)
    file = lines(tmp_path / "events.jsonl", story())
    whole = new_world()
    whole.run_files(file, until=END)
    with world.runner() as runner:
        ran, done = runner.engine._run, 0

        def stopping(*given: object, **more: object) -> object:
            nonlocal done
            done += 1
            if done > cut:
                raise Cut
            return ran(*given, **more)  # type: ignore[arg-type]  # as it was called

        monkeypatch.setattr(runner.engine, "_run", stopping)
        with pytest.raises(Cut):
            runner.run([file])
    read = sum(row.next_offset for row in world.store.progress())
    again = world.run_files(file, until=END)
    assert len(story()) - read == again.arrivals
    assert 0 == world.total("duplicate")
    assert canonical(whole.store) == canonical(world.store)


def test_several_files_are_merged_by_time(world: World, new_world: Callable[[], World], tmp_path: Path) -> None:
    one = new_world()
    one.run_files(lines(tmp_path / "all.jsonl", story()), until=END)
    parts = [lines(tmp_path / f"{i}.jsonl", story()[i::3]) for i in range(3)]
    world.run_files(*parts, until=END)
    assert canonical(one.store) == canonical(world.store)


def test_a_packed_file_is_read_like_a_plain_one(world: World, new_world: Callable[[], World], tmp_path: Path) -> None:
    import gzip

    plain = lines(tmp_path / "events.jsonl", story())
    packed = tmp_path / "events.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    one = new_world()
    one.run_files(plain, until=END)
    world.run_files(packed, until=END)
    assert canonical(one.store) == canonical(world.store)
