"""The process ends at every step of a run that gives voucher codes: each code goes to one message, and none is lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from orchestrator.stores.contract import Store
from orchestrator.testing import builders
from orchestrator.testing.journeys import content_of
from orchestrator.vouchers import put_codes
from tests.crash.bench import Bench
from tests.crash.states import Left, lived

pytestmark = pytest.mark.timeout(600)

PROMISE = """\
trigger: {event: purchase.completed}
steps:
  - {send: gift, channels: [sms], voucher: gifts}
"""
CODES = ("G-1", "G-2")


class VoucherBench(Bench):
    """Three messages want a code, and there are two."""

    channel = "sms"
    story = (
        builders.enrolled("ana", "2026-03-02T17:00:00Z"),
        builders.enrolled("ben", "2026-03-02T17:05:00Z"),
        builders.purchase("ana", "2026-03-03T18:00:00Z"),
        builders.purchase("ben", "2026-03-03T18:30:00Z"),
        builders.purchase("ana", "2026-03-04T18:00:00Z"),
    )

    def furnish(self, store: Store) -> None:
        """Two codes."""
        put_codes(store, self.vault, "gifts", CODES)

    def judge(self, place: Path) -> None:
        """Beside all else: who has which code, by the messages that were sent."""
        super().judge(place)
        assert 2 == len(given(place))
        assert {touch for _, touch in given(place)} == set(self.expected_calls)


def given(place: Path) -> list[tuple[str, str]]:
    """(fingerprint, touch) of the codes that are given."""
    connection = sqlite3.connect(f"{place}/store.db")
    rows = connection.execute("SELECT fingerprint, touch_id FROM vouchers WHERE touch_id <> ''").fetchall()
    connection.close()
    return [(row[0], row[1]) for row in rows]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> VoucherBench:
    """An empty store with two codes, the events, and what an uninterrupted run comes to."""
    texts = {"gift": "{{ voucher.code }}"}
    content = content_of(PROMISE, texts=texts, vouchers="pools: {gifts: {low_water: 1}}\n")
    return VoucherBench(tmp_path_factory.mktemp("crash"), content)


@pytest.fixture(scope="module")
def first(bench: VoucherBench) -> list[Left]:
    """What an uninterrupted run leaves at its points."""
    return lived(bench, bench.place("empty"), "first")


def test_a_crash_at_any_step_gives_no_code_twice_and_loses_none(bench: VoucherBench, first: list[Left]) -> None:
    assert 2 == len(bench.expected_calls)
    edges = {point for stretch in first for point in (stretch.first, stretch.first + stretch.points - 1)}
    assert len(edges) > 20
    assert [] == bench.judged({f"at-{point}": (point,) for point in sorted(edges)})
