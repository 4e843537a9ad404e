"""Workers on one PostgreSQL whose members share contact points: no cap is exceeded, and nobody waits in a circle."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any

import msgspec
import pytest

from orchestrator.decide.content import Content
from orchestrator.events.envelope import Event
from orchestrator.stores.contract import Changes, HolderRow, Progress, TouchRow
from orchestrator.stores.memory import MemoryStore
from orchestrator.stores.memory.batch import MemoryBatch
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.store_rows import touch_row
from orchestrator.vault import Vault
from tests.engine.workers import PARTITIONS, Opened, Worker, deadlocks, somebody, wait_for_a_waiter

HOME = "home@example.com"
NOON = "2026-03-02T17:00:00Z"
A_WEEK_LATER = "2026-03-11T17:00:00Z"


def at_home(who: str, at: str, *addresses: str) -> Event:
    """Somebody with these e-mail addresses, the last one preferred."""
    made = enrolled(who, at, channels=("email",), consents=("email",))
    point = made.data.contact_points[0]  # type: ignore[union-attr]
    points = tuple(
        msgspec.structs.replace(point, address=address, preferred=address == addresses[-1]) for address in addresses
    )
    return msgspec.structs.replace(made, data=msgspec.structs.replace(made.data, contact_points=points))


def live(touches: Sequence[TouchRow]) -> dict[str, int]:
    """How many live marketing touches each contact point has."""
    found: dict[str, int] = {}
    for touch in touches:
        if touch.purpose == "marketing" and touch.state not in ("cancelled", "rejected"):
            found[touch.contact] = found.get(touch.contact, 0) + 1
    return found


def test_partitions_whose_members_share_addresses_crosswise_keep_every_cap(opened: Opened, postgres_url: str) -> None:
    """Four workers at once, each taking the same addresses in an order of its own, joining and reaching them."""
    workers = [opened() for _ in range(PARTITIONS)]
    for number, worker in enumerate(workers):
        worker.take(number)
    homes = [f"home{n}@example.com" for n in range(12)]
    people = {(p, n): somebody(p, n) for p in range(PARTITIONS) for n in range(len(homes))}
    chance = random.Random(5)
    start = Barrier(PARTITIONS)

    def turns(number: int, batches: Sequence[Sequence[Event]]) -> None:
        for events in batches:
            start.wait(60)
            workers[number].run(events)

    batches: dict[int, list[list[Event]]] = {}
    for p in range(PARTITIONS):
        order = chance.sample(range(len(homes)), len(homes))
        came = [at_home(people[p, n], NOON, homes[n], homes[(n + 1) % len(homes)]) for n in order]
        bought = [purchase(people[p, n], A_WEEK_LATER) for n in chance.sample(order, len(order))]
        batches[p] = [came[:6], came[6:], bought[:6], bought[6:]]
    with ThreadPoolExecutor(PARTITIONS) as pool:
        for done in [pool.submit(turns, p, batches[p]) for p in range(PARTITIONS)]:
            done.result()
    # one welcome each, and one message more in the week after: the day's cap, with all others of the week in flight
    found = live(list(workers[0].store.touches()))
    assert len(homes) == len(found)
    assert {1} == set(found.values())
    assert 0 == deadlocks(postgres_url)
    assert 0 == sum(worker.interrupted for worker in workers)


@pytest.mark.parametrize("knows", [False, True])
def test_who_comes_second_waits_for_the_first_and_counts_what_the_first_reserved(
    opened: Opened, postgres_url: str, vault: Vault, knows: bool
) -> None:
    """The first has locked the address and has not committed; the second may know already that it is shared, or not."""
    first, second = opened(), opened()
    ana, bea = somebody(0, 1), somebody(1, 1)
    first.take(0)
    second.take(1)
    contact = vault.fingerprint("email", HOME)
    if knows:
        # both are there for long
        for worker, who in ((first, ana), (second, bea)):
            worker.run([msgspec.structs.replace(at_home(who, "2026-03-01T17:00:00Z", HOME), history=True)])
    with ThreadPoolExecutor(1) as pool:
        with first.store.batch([first.held[0]]) as tx:
            row = HolderRow(contact, 0, vault.member(ana), 0)
            assert ([] if knows else [row]) == tx.hold([row], [])[contact][2 if knows else 0 :]
            came = at_home(bea, NOON, HOME) if not knows else purchase(bea, NOON)
            running = pool.submit(second.run, [came])
            wait_for_a_waiter(postgres_url)
            assert not running.done()
            before = first.held[0]
            touch = touch_row("firsts", contact=contact)._replace(member=vault.member(ana))
            tx.write(Changes([(before, before._replace(turn=before.turn + 1))], reserved=[touch]))
        running.result(60)
    assert 1 == live(list(first.store.touches()))[contact]


class Watched:
    """A batch of another store that notes which contact points it locks, in which order."""

    def __init__(self, batch: MemoryBatch) -> None:
        self._batch = batch
        self.locked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def hold(self, joined: Iterable[HolderRow], contacts: Iterable[str]) -> Mapping[str, list[HolderRow]]:
        held = self._batch.hold(joined, contacts)
        self.locked += held
        return held


class WatchedStore(MemoryStore):
    """Keeps what its batches noted."""

    def __init__(self) -> None:
        super().__init__(PARTITIONS)
        self.batches: list[Watched] = []

    @contextmanager
    def batch(self, held: Sequence[Progress]) -> Iterator[Any]:
        with super().batch(held) as batch:
            self.batches.append(Watched(batch))
            yield self.batches[-1]


def test_a_lock_that_would_break_the_order_is_taken_with_all_others_in_a_batch_begun_anew(
    vault: Vault, content: Content
) -> None:
    """Her new address turns out to be another's, and full; so it is her number, whose lock comes before that of it."""
    store = WatchedStore()
    worker = Worker(store, vault, content)
    worker.take(*range(PARTITIONS))
    number, fingerprint = "+12125550101", vault.fingerprint
    home = next(
        address
        for address in map("home{}@example.com".format, range(99))
        if fingerprint("email", address) > fingerprint("sms", number)
    )
    came = enrolled("dee", "2026-03-01T17:00:00Z")
    email, sms = came.data.contact_points  # type: ignore[union-attr]
    sms = msgspec.structs.replace(sms, address=number)
    came = msgspec.structs.replace(
        came, data=msgspec.structs.replace(came.data, contact_points=(email, sms)), history=True
    )
    worker.run([at_home("ana", NOON, home), came])
    store.batches.clear()
    points = [{"channel": "email", "address": home}]
    worker.run([event("member.updated", "dee", NOON, {"contact_points": points}), purchase("dee", NOON)])
    assert {fingerprint("email", home): 1, fingerprint("sms", number): 1} == live(list(store.touches()))
    first, anew = store.batches
    assert [fingerprint("email", home)] == first.locked
    assert sorted((fingerprint("email", home), fingerprint("sms", number))) == anew.locked
