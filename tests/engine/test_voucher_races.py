"""Two workers on one PostgreSQL whose members want codes of one pool: none goes out twice, and nobody waits."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from orchestrator.events.partition import partition_of
from orchestrator.outbox_body import read_body
from orchestrator.replay import replay
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing.builders import enrolled, purchase
from orchestrator.testing.journeys import content_of
from orchestrator.vault import Vault
from orchestrator.vouchers import put_codes
from tests.engine.test_shared_races import PARTITIONS, Worker

PROMISE = """\
trigger: {event: purchase.completed}
steps:
  - {send: gift, channels: [sms], voucher: gifts}
"""
MEMBERS, CODES, ROUNDS = 24, 40, 2
JOINED = "2026-03-02T17:00:00Z"
HALVES = ((0, 1), (2, 3))


@pytest.fixture
def workers(postgres_url: str, vault: Vault) -> Iterator[list[Worker]]:
    content = content_of(PROMISE, texts={"gift": "{{ voucher.code }}"}, vouchers="pools: {gifts: {low_water: 5}}\n")
    made = [Worker(SqlStore.open(postgres_url, PARTITIONS), vault, content) for _ in HALVES]
    yield made
    for worker in made:
        worker.store.close()


def test_workers_that_empty_one_pool_give_each_code_to_one_message(workers: list[Worker], vault: Vault) -> None:
    store = workers[0].store
    put_codes(store, vault, "gifts", [f"G-{i:03}" for i in range(CODES)])
    members = [f"m{i}" for i in range(MEMBERS)]
    start = Barrier(len(workers))

    def live(worker: Worker, half: tuple[int, ...]) -> None:
        mine = [name for name in members if partition_of(name, PARTITIONS) in half]
        worker.take(*half)
        worker.run([enrolled(name, JOINED) for name in mine])
        start.wait(30)
        for turn in range(ROUNDS):
            for i in range(0, len(mine), 4):
                worker.run([purchase(name, f"2026-03-0{3 + turn}T17:00:00Z") for name in mine[i : i + 4]])

    with ThreadPoolExecutor(len(workers)) as pool:
        for future in [pool.submit(live, *pair) for pair in zip(workers, HALVES, strict=True)]:
            future.result()
    decisions = [(row.verdict, row.reason) for row in store.log() if row.kind == "decision"]
    assert (CODES, MEMBERS * ROUNDS) == (decisions.count(("send", "")), len(decisions))
    assert MEMBERS * ROUNDS - CODES == decisions.count(("suppress", "voucher_none_left"))
    told = []
    for touch in store.touches():
        wrapped = store.key(touch.ref)
        assert wrapped is not None
        told.append(read_body(vault.sealer(touch.ref, wrapped).open(touch.message)).text.strip())
    assert sorted(f"G-{i:03}" for i in range(CODES)) == sorted(told)
    (row,) = store.pools()
    assert (0, CODES, 2) == (row.left, row.given, row.told)
    alarms = [row.reason for row in store.log() if row.kind == "alarm"]
    # once each; two workers that see it in the same moment may both tell
    assert {"vouchers_low", "vouchers_gone"} == set(alarms)
    assert len(alarms) <= 4
    assert [0, 0] == [worker.interrupted for worker in workers]
    assert replay(store, vault, workers[0].pipeline.content).ok
