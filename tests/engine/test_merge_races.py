"""Merges on one PostgreSQL whose partitions are different workers': whatever is at work meanwhile, and in any order."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from orchestrator.contact_log.reconcile import reconcile
from orchestrator.contact_log.verify import verify
from orchestrator.decide.content import Content
from orchestrator.decide.member import Member
from orchestrator.events.envelope import Event
from orchestrator.events.inputs import Outcome, OutcomeKind, write_input
from orchestrator.members import opened as read
from orchestrator.replay import replay
from orchestrator.stores.contract import Claim, HolderRow, NewInbox, OutcomeRow, Store
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import us
from orchestrator.times import instant, rfc3339
from orchestrator.vault import Vault
from tests.engine.workers import PARTITIONS, Opened, Worker, deadlocks, somebody, wait_for_a_waiter

NOON = "2026-03-02T17:00:00Z"
HOUR = 3_600_000_000
A, B, C, D = (somebody(partition, 1) for partition in range(PARTITIONS))


def merged(old: str, into: str, at: str) -> Event:
    return event("member.merged", old, at, {"into": into})


def known(store: Store, vault: Vault, who: str) -> Member:
    row = store.member(vault.member(who))
    assert row is not None
    member = read(store, vault, row)
    assert member is not None
    return member


@pytest.fixture
def workers(opened: Opened, vault: Vault, content: Content) -> Iterator[list[Worker]]:
    """One for each partition; after all of it the books balance, the chains hold and a replay agrees."""
    workers = [opened() for _ in range(PARTITIONS)]
    for partition, worker in enumerate(workers):
        worker.take(partition)
    yield workers
    store = workers[0].store
    assert reconcile(store).holds, reconcile(store)
    assert verify(store).ok
    assert replay(store, vault, content).ok


def settle(workers: Sequence[Worker], at: str) -> None:
    """Each takes what is due, in turn, until nothing is."""
    while (due := workers[0].store.next_due()) is not None and due <= us(at):
        for worker in workers:
            worker.run([], at)


def test_a_merge_while_a_turn_of_the_new_id_runs_waits_for_nobody_and_is_the_next_turn(
    workers: Sequence[Worker], vault: Vault, postgres_url: str
) -> None:
    """The new one's worker is in the middle of its transaction, held up by a third, as the old one hands over."""
    old, new, third = workers[0], workers[1], workers[3]
    old.run([enrolled(A, NOON)])
    address = vault.fingerprint("email", f"{B}@example.com")
    with ThreadPoolExecutor(1) as pool:
        with third.store.batch([third.held[3]]) as tx:
            tx.hold([HolderRow(address, 0, vault.member(D), 3)], [])
            running = pool.submit(new.run, [enrolled(B, NOON), purchase(B, "2026-03-02T19:00:00Z")])
            wait_for_a_waiter(postgres_url)
            old.run([merged(A, B, "2026-03-02T18:00:00Z"), purchase(A, "2026-03-02T18:01:00Z")])
            assert not running.done()
        running.result(60)
    assert B == known(new.store, vault, A).merged_into
    member = known(new.store, vault, B)
    assert (frozenset(), 1) == (member.absorbed, member.aggregates["purchase.completed"].count)
    new.run([], "2026-03-02T19:00:00Z")
    member = known(new.store, vault, B)
    assert ({A}, 2) == (member.absorbed, member.aggregates["purchase.completed"].count)
    # the old one's welcome was in line too
    assert [1] == [len(list(new.store.touches(state="reserved")))]


def called(workers: Sequence[Worker]) -> Claim:
    """A's welcome is being called when A turns out to be B."""
    workers[0].run([enrolled(A, NOON)])
    store = workers[0].store
    (claim,) = store.attempt(store.claim(us(NOON), HOUR, "first", 1), us(NOON))
    workers[0].run([merged(A, B, "2026-03-02T17:01:00Z")])
    return claim


def answered(store: Store, claim: Claim, kind: OutcomeKind, retry_at: str = "") -> None:
    """The provider's answer, a minute after the merge."""
    at, retry = us("2026-03-02T17:02:00Z"), us(retry_at) if retry_at else 0
    answered = Outcome(
        touch_id=claim.touch.touch_id,
        kind=kind,
        attempt=claim.touch.attempts,
        attempted_at=instant(us(NOON)),
        occurred_at=instant(at),
        final=not retry,
        retry_at=instant(retry) if retry else None,
    )
    told = NewInbox(0, at, claim.touch.member, write_input(answered))
    state = "reserved" if retry else kind
    assert [True] == store.outcomes([OutcomeRow(claim.touch.touch_id, claim.token, state, retry, told)])


def test_what_is_refused_for_now_when_it_was_being_called_for_the_old_id_is_never_called_for_it_again(
    workers: Sequence[Worker], vault: Vault
) -> None:
    """The call began before the merge; what the provider did not take goes out for the new id, decided anew."""
    claim, store = called(workers), workers[0].store
    answered(store, claim, "throttled", "2026-03-02T17:02:30Z")
    # the dispatcher comes by before anybody had a turn about it
    assert [] == store.claim(us("2026-03-02T17:03:00Z"), HOUR, "second", 1)
    settle(workers, "2026-03-02T17:04:00Z")
    (anew,) = store.claim(us("2026-03-02T17:05:00Z"), HOUR, "third", 9)
    assert (vault.member(B), 1) == (anew.touch.member, anew.touch.partition)
    member = known(store, vault, B)
    assert [anew.touch.touch_id] == [pending.touch_id for pending in member.pending.values()]
    assert [anew.touch.touch_id] == [place.touch_id for place in member.places]
    assert {} == known(store, vault, A).pending


def test_what_was_refused_and_taken_before_the_merge_was_on_record_is_not_sent_anew(
    workers: Sequence[Worker], vault: Vault
) -> None:
    """One account refused it, another took it; the old id's worker, behind, hears of the merge before all that."""
    workers[0].run([enrolled(A, NOON)])
    store = workers[0].store
    for token, kind, retry_at in (("first", "rejected_sender", "2026-03-02T17:02:30Z"), ("second", "accepted", "")):
        (claim,) = store.attempt(store.claim(us("2026-03-02T17:03:00Z"), HOUR, token, 1), us(NOON))
        answered(store, claim, kind, retry_at)  # type: ignore[arg-type] # of a loop
    workers[0].run([merged(A, B, "2026-03-02T17:01:00Z")])
    settle(workers, "2026-03-02T17:04:00Z")
    assert [] == store.claim(us("2026-03-02T17:05:00Z"), HOUR, "third", 9)
    assert [instant(us(NOON))] == [place.at for place in known(store, vault, B).places]
    assert ({}, {}) == (known(store, vault, A).pending, known(store, vault, B).pending)


def test_what_was_accepted_when_it_was_being_called_for_the_old_id_reached_the_new_one(
    workers: Sequence[Worker], vault: Vault
) -> None:
    claim, store = called(workers), workers[0].store
    workers[1].run([], "2026-03-02T17:01:30Z")
    answered(store, claim, "accepted")
    settle(workers, "2026-03-02T17:04:00Z")
    assert [] == store.claim(us("2026-03-02T17:05:00Z"), HOUR, "third", 9)
    assert [instant(us(NOON))] == [place.at for place in known(store, vault, B).places]
    assert ({}, {}) == (known(store, vault, A).pending, known(store, vault, B).pending)


def test_what_was_being_called_for_a_third_is_not_taken_for_the_second_ones(
    workers: Sequence[Worker], vault: Vault
) -> None:
    """A is B, who is C; then the provider asks for patience."""
    claim, store = called(workers), workers[0].store
    workers[1].run([merged(B, C, "2026-03-02T17:01:10Z")])
    answered(store, claim, "throttled", "2026-03-02T17:02:30Z")
    settle(workers, "2026-03-02T17:04:00Z")
    (anew,) = store.claim(us("2026-03-02T17:05:00Z"), HOUR, "third", 9)
    assert vault.member(C) == anew.touch.member


@pytest.mark.parametrize("retry_at", ["2026-03-02T17:02:30Z", ""], ids=["refused for now", "accepted"])
def test_whose_record_comes_home_has_its_calls_again(workers: Sequence[Worker], vault: Vault, retry_at: str) -> None:
    """A is B and B is A, at one moment; A, whose message was being called, is the least of both or is not."""
    claim, store = called(workers), workers[0].store
    workers[1].run([merged(B, A, "2026-03-02T17:01:00Z")])
    answered(store, claim, "throttled" if retry_at else "accepted", retry_at)
    settle(workers, "2026-03-02T17:04:00Z")
    (stays,) = [who for who in (A, B) if not known(store, vault, who).merged_into]
    anew = store.claim(us("2026-03-02T17:05:00Z"), HOUR, "third", 9)
    assert [vault.member(stays)] * bool(retry_at) == [each.touch.member for each in anew]
    assert 1 == len(known(store, vault, stays).places)


def test_two_that_are_merged_into_each_other_at_once_are_one(workers: Sequence[Worker], vault: Vault) -> None:
    start = Barrier(2)

    def turns(worker: Worker, events: Sequence[Event]) -> None:
        start.wait(60)
        worker.run(events)

    pairs = [(somebody(0, n), somebody(1, n)) for n in range(2, 12)]
    for partition in (0, 1):
        workers[partition].run([enrolled(pair[partition], NOON) for pair in pairs])
    with ThreadPoolExecutor(2) as pool:
        crosswise = [[merged(a, b, "2026-03-03T17:00:00Z") for a, b in pairs]]
        crosswise.append([merged(b, a, "2026-03-03T17:00:00Z") for a, b in pairs])
        for done in [pool.submit(turns, workers[p], crosswise[p]) for p in (0, 1)]:
            done.result(60)
    for partition in (0, 1):
        workers[partition].run([purchase(pair[partition], "2026-03-04T17:00:00Z") for pair in pairs])
    settle(workers, "2026-03-05T17:00:00Z")
    for pair in pairs:
        both = [known(workers[0].store, vault, who) for who in pair]
        (stays,) = [member for member in both if not member.merged_into]
        assert set(pair) - {stays.id} == stays.absorbed
        assert 2 == stays.aggregates["purchase.completed"].count
        assert 2 == stays.aggregates["member.enrolled"].count


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first-hop-first", "second-hop-first"])
def test_a_chain_leads_to_its_end_in_whichever_order_it_is_told(
    workers: Sequence[Worker], vault: Vault, order: tuple[int, int]
) -> None:
    for worker, who in zip(workers, (A, B, C), strict=False):
        worker.run([enrolled(who, NOON)])
    hops = [(0, merged(A, B, "2026-03-03T17:00:00Z")), (1, merged(B, C, "2026-03-03T17:00:00Z"))]
    for partition, told in (hops[n] for n in order):
        workers[partition].run([told])
    workers[0].run([purchase(A, "2026-03-04T17:00:00Z")])
    settle(workers, "2026-03-05T17:00:00Z")
    member = known(workers[0].store, vault, C)
    assert ({A, B}, 3, 1) == (
        member.absorbed,
        member.aggregates["member.enrolled"].count,
        member.aggregates["purchase.completed"].count,
    )


def test_many_merges_and_purchases_at_once_lose_nothing_and_exceed_no_gap(
    workers: Sequence[Worker], vault: Vault, postgres_url: str
) -> None:
    """Four workers, each at its own pace; whatever was merged by the end has every purchase, and no gap is short."""
    chance = random.Random(7)
    people = [somebody(partition, n) for partition in range(PARTITIONS) for n in range(20, 26)]
    start = Barrier(PARTITIONS)
    steps: list[list[list[Event]]] = [[[] for _ in range(6)] for _ in range(PARTITIONS)]
    bought = 0
    for who in people:
        home = next(p for p in range(PARTITIONS) if who.startswith(f"m{p}-"))
        steps[home][0].append(enrolled(who, NOON))
        for round_ in range(1, 6):
            at = rfc3339(instant(us(NOON) + (round_ * 25 + chance.randrange(20)) * HOUR))
            steps[home][round_].append(purchase(who, at))
            bought += 1
            if chance.random() < 0.12:
                steps[home][round_].append(merged(who, chance.choice(people), at))

    def turns(worker: Worker, batches: Sequence[Sequence[Event]]) -> None:
        for events in batches:
            start.wait(60)
            worker.run(sorted(events, key=lambda given: given.time))

    with ThreadPoolExecutor(PARTITIONS) as pool:
        for done in [pool.submit(turns, worker, steps[p]) for p, worker in enumerate(workers)]:
            done.result(120)
    settle(workers, "2026-03-08T17:00:00Z")
    store = workers[0].store
    members = [known(store, vault, who) for who in people]
    heads = [member for member in members if not member.merged_into]
    assert 3 < len(heads) < len(people) - 3
    assert bought == sum(member.aggregates["purchase.completed"].count for member in heads)
    assert {who for member in heads for who in (member.id, *member.absorbed)} == set(people)
    assert len(people) == sum(1 + len(member.absorbed) for member in heads)
    assert 0 == deadlocks(postgres_url)
    # nothing was dispatched: what stands reserved counts as now, so of each person's marketing there is one at most
    names = {vault.member(who): member.id for member in heads for who in (member.id, *member.absorbed)}
    waiting = [names[touch.member] for touch in store.touches(state="reserved") if touch.purpose == "marketing"]
    assert len(waiting) == len(set(waiting)) > 0
