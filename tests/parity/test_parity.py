"""The same recorded inputs through both engines give the same contact log for each member.

Both write under one key file, so that keyed ids are not mapped but equal; the random reference of a member is left out.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from orchestrator.decide import ids
from orchestrator.events.envelope import Event
from orchestrator.events.inputs import AnswerKind, Command, Outcome, Receipt, Returned, read_input
from orchestrator.events.types import EVENT_TYPES
from orchestrator.pipeline import Pipeline
from orchestrator.stores.contract import Store
from orchestrator.stores.memory import MemoryStore
from orchestrator.testing.canonical import COLUMNS, Canonical, Difference, column, differences
from orchestrator.times import micros
from tests.parity import engines, history, recording
from tests.parity.recording import DAY, Record
from tests.parity.runs import ENGINES, PARTITIONS, WORKERS, Runs, Scale, lived
from tests.servers import Kafka, Postgres

pytestmark = pytest.mark.kafka

REFERENCE_DATA = os.environ.get("REFERENCE_DATA")
needs_the_grocer = pytest.mark.skipif(not REFERENCE_DATA, reason="REFERENCE_DATA is not set: no data of the grocer")
CASES = ("generated", pytest.param("grocer", marks=needs_the_grocer))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(Scale(48, 40), id="slice"),
        pytest.param(Scale(600, None), id="whole", marks=pytest.mark.soak),
    ],
)
def runs(
    request: pytest.FixtureRequest, kafka: Kafka, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runs]:
    """All engines after they lived the same."""
    data = Path(REFERENCE_DATA, "data", "complete-journey") if REFERENCE_DATA else None
    with lived(tmp_path_factory.mktemp("parity"), kafka, postgres, request.param, data) as found:
        yield found


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("case", CASES)
def test_each_member_has_the_log_of_the_embedded_engine(runs: Runs, case: str, workers: int) -> None:
    found = differences(runs.log(0, case), runs.log(workers, case))
    assert [] == [(runs.named([difference]), difference) for difference in found[:5]]


@pytest.mark.parametrize("workers", WORKERS)
def test_the_books_are_the_same(runs: Runs, workers: int) -> None:
    """Counts of decisions by day, of intents and of events, by partition; dead letters with their reasons."""
    assert books(runs.ran[0].store) == books(runs.ran[workers].store)


def books(store: Store) -> tuple[object, ...]:
    # what a suppression cancels in the outbox depends on what was dispatched, and nothing was: rows of the inbox that
    # tell of it change nothing, and go on where they come for an alias
    names = (
        "duplicate",
        "dead",
        "parked",
        "misplaced",
        "merged",
        "intents",
        "touched",
        "silent",
        "waiting",
    )
    totals = {key: n for key, n in store.totals().items() if key[1] in names and n}
    applied = {p: sum(row.kind == "event" for row in store.journal(p)) for p in range(PARTITIONS)}
    return totals, applied, store.daily(), sorted((row.partition, row.reason, row.cure) for row in store.dead())


# --- truly loaded


@pytest.mark.parametrize("workers", WORKERS)
def test_all_were_told_the_same(runs: Runs, workers: int) -> None:
    """Copies of misplaced events apart: several may come in any order, each dated when it was made."""
    assert by_partition(runs.recording.records) == by_partition(engines.told(runs.towns[workers]))


def by_partition(records: tuple[Record, ...]) -> dict[int, tuple[list[Record], set[Record]]]:
    found: dict[int, tuple[list[Record], set[Record]]] = {partition: ([], set()) for partition in range(PARTITIONS)}
    for record in records:
        recorded, copies = found[record.partition]
        if record.at < micros(history.START) - DAY:
            copies.add(record._replace(at=0))
        else:
            recorded.append(record)
    assert all(recorded for recorded, _ in found.values())
    return found


@pytest.mark.parametrize("workers", WORKERS)
def test_the_workers_shared_the_partitions_and_each_turned_its_own(runs: Runs, workers: int) -> None:
    shares = Counter(engines.writers(runs.towns[workers]).values())
    assert [PARTITIONS // workers] * workers == list(shares.values())
    turns = {row.partition: row.turn for row in runs.ran[workers].store.progress()}
    assert PARTITIONS == sum(n > 20 for n in turns.values()), turns


def test_every_type_of_event_was_told_and_everything_a_provider_may_say_was_heard(runs: Runs) -> None:
    pipeline = Pipeline(MemoryStore(PARTITIONS), runs.vault, runs.content)
    given = [recording.arrival(pipeline, record).event for record in runs.recording.records]
    assert set(EVENT_TYPES) == {each.type for each in given if isinstance(each, Event)}
    heard = [read_input(row.input) for row in runs.recording.heard]
    assert set(get_args(AnswerKind)) == {each.kind for each in heard if isinstance(each, Outcome)}
    assert {state for words in recording.LATER for state in words} == {
        each.state for each in heard if isinstance(each, Receipt)
    }
    assert {Outcome, Receipt, Returned, Command} == {type(each) for each in heard}


@pytest.mark.parametrize("engine", ENGINES)
def test_everything_came_to_pass(runs: Runs, engine: int) -> None:
    """Whatever an input may become, in the generated history."""
    store, log = runs.ran[engine].store, runs.log(engine, "generated")
    kinds = Counter(row.kind for partition in range(PARTITIONS) for row in store.journal(partition))
    assert {"event", "timer", "expired", "tick", "outcome", "receipt", "returned", "command"} <= kinds.keys()
    totals = Counter({name: 0 for _, name in store.totals()})
    for (_, name), n in store.totals().items():
        totals[name] += n
    assert runs.astray == totals["misplaced"] > 5
    # what came for an alias as well
    assert runs.astray < totals["forwarded"]
    assert totals["duplicate"] > 10
    assert {"not_json", "bad_envelope", "bad_data", "unknown_type", "id_reused", "too_old"} == {
        row.reason for row in store.dead()
    }
    verdicts = said(log, "decision", "verdict", "reason")
    assert verdicts["send", ""] > 50
    # so many reasons
    assert sum(verdict == "suppress" for verdict, _ in verdicts) >= 10, verdicts
    assert sum(verdict == "defer" for verdict, _ in verdicts) >= 2, verdicts
    assert {"reserved", "attempting", "accepted", "rejected", "unknown", "cancelled"} <= {
        state for (state,) in said(log, "touch", "state")
    }
    assert {"granted", "withdrawn", "asked", "confirmed", "unmatched"} <= {
        state for (state,) in said(log, "consent", "state")
    }
    assert {"enrolled", "cancelled", "erased", "merged", "absorbed"} == {
        state for (state,) in said(log, "member", "state")
    }
    # one who was erased and joined again has two lives
    assert 1 == max(life for _, life in log)


@pytest.mark.parametrize("engine", ENGINES)
@needs_the_grocer
def test_the_grocers_month_was_lived(runs: Runs, engine: int) -> None:
    verdicts = said(runs.log(engine, "grocer"), "decision", "journey", "verdict")
    assert {"welcome", "thank-you", "we-miss-you"} <= {journey for journey, _ in verdicts}
    for verdict in ("send", "suppress", "defer"):
        assert sum(n for (_, found), n in verdicts.items() if found == verdict) > 10, verdicts


def said(log: Canonical, kind: str, *fields: str) -> Counter[tuple[str, ...]]:
    """How often the entries of a kind say what in these columns."""
    places = [column(field) for field in fields]
    entries = [entry for own in log.values() for entry in own if entry[column("kind")] == kind]
    return Counter(tuple(entry[place] for place in places) for entry in entries)


# --- the comparison can fail


def test_one_event_that_says_something_else_is_found_with_its_member_and_entry(runs: Runs, tmp_path: Path) -> None:
    """A purchase that was thanked for is small change now."""
    i, whose, entry = thanked(runs)
    record = runs.recording.records[i]
    assert record.key is not None
    altered = list(runs.recording.records)
    altered[i] = of_amount(record, 100)
    found = runs.relived(runs.recording._replace(records=tuple(altered)), tmp_path / "altered.db")
    # the member, and whoever the member was merged into
    assert {record.key.decode()} == {name.partition("-card-")[0] for name in runs.named(found)}
    first = next(difference for difference in found if difference.whose == whose)
    assert entry == first.entry
    assert first.field in COLUMNS


def thanked(runs: Runs) -> tuple[int, tuple[bytes, int], int]:
    """A purchase among the records, its member's life, and the first entry that says that thanks are to be sent."""
    decided: dict[str, tuple[tuple[bytes, int], int]] = {}
    for whose, entries in runs.log(0, "generated").items():
        for i, entry in enumerate(entries):
            if entry[column("journey")] == "thank-you" and entry[column("verdict")] in ("send", "defer"):
                decided.setdefault(entry[column("occurrence")], (whose, i))
    pipeline = Pipeline(MemoryStore(PARTITIONS), runs.vault, runs.content)
    for i, record in enumerate(runs.recording.records):
        given = recording.delivery(pipeline, record, PARTITIONS).arrival
        event = given.event
        if isinstance(event, Event) and event.type == "purchase.completed" and not given.forwarded:
            occurrence = ids.occurrence_of(runs.vault.id_key, event.source, event.id)
            if occurrence in decided:
                return i, *decided[occurrence]
    raise AssertionError("nobody was thanked")


def of_amount(record: Record, amount: int) -> Record:
    """The record of a purchase, of another amount."""
    assert record.value is not None
    told = msgspec.json.decode(record.value)
    told.get("data", told)["amount"] = amount
    return record._replace(value=msgspec.json.encode(told))


def test_one_outcome_that_was_not_heard_is_found_with_its_member(runs: Runs, tmp_path: Path) -> None:
    heard = list(runs.recording.heard)
    lost = next(row for row in heard if isinstance(read_input(row.input), Outcome))
    heard.remove(lost)
    found = runs.relived(runs.recording._replace(heard=tuple(heard)), tmp_path / "altered.db")
    assert lost.member in {difference.whose[0] for difference in found}
    assert 1 == len({name.partition("-card-")[0] for name in runs.named(found)})


@pytest.mark.parametrize("workers", WORKERS)
def test_one_entry_that_says_something_else_is_found_with_its_field(runs: Runs, workers: int) -> None:
    log = {whose: list(entries) for whose, entries in runs.ran[workers].log.items()}
    whose = next(key for key in log if key[0])
    entry = log[whose][1]
    log[whose][1] = (*entry[: column("reason")], "altered", *entry[column("reason") + 1 :])
    assert [Difference(whose, 1, "reason", entry[column("reason")], "altered")] == differences(runs.ran[0].log, log)
    lost = log[whose].pop()
    assert Difference(whose, len(log[whose]), "", lost, None) == differences(runs.ran[0].log, log)[-1]
