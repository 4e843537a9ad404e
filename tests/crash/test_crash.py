"""The process ends at every step of a small run, in turn; started again, it comes to what it would have come to.

Each crash here is one for real: a child that ends itself, without any farewell, at a point (see bench.py). A further
child runs to the end.

Between two writes the files stay as they are, byte for byte, however many points lie there (states.py compares them at
each): CI crashes at the first and at the last point of each such stretch, `make soak` at every point. All pairs of
crashes are in test_states.py.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from orchestrator.testing.canonical import column
from tests.crash.bench import Bench
from tests.crash.states import Left

pytestmark = pytest.mark.timeout(600)

# of all pairs of points, how many are tried for real
PAIRS = 12


def test_the_scenario_sends_defers_silences_and_buries(bench: Bench) -> None:
    """A crash test of a run in which nothing happens would prove nothing."""
    verdicts = Counter(line[column("verdict")] for entries in bench.expected.values() for line in entries)
    assert verdicts["send"] >= 4
    assert verdicts["defer"] >= 2
    assert verdicts["suppress"] >= 1
    assert len(bench.expected_calls) == verdicts["send"]
    assert 1 == sum(n for (_, name), n in bench.expected_totals.items() if name == "dead")
    assert {"merged": 1, "forwarded": 1} == {
        name: n for (_, name), n in bench.expected_totals.items() if name in ("merged", "forwarded")
    }
    assert bench.points > 200


def test_a_crash_at_any_step_changes_nothing_but_what_it_leaves_in_doubt(bench: Bench, first: list[Left]) -> None:
    assert bench.points == sum(stretch.points for stretch in first)
    edges = {point for stretch in first for point in (stretch.first, stretch.first + stretch.points - 1)}
    assert len(edges) > 30
    assert [] == bench.judged({f"at-{point}": (point,) for point in sorted(edges)})


@pytest.mark.soak
def test_a_crash_at_every_single_point_changes_no_more(bench: Bench) -> None:
    assert [] == bench.judged({f"at-{point}": (point,) for point in range(bench.points)})


def test_two_crashes_change_no_more(bench: Bench) -> None:
    assert [] == bench.judged(pairs(bench.points, PAIRS, random.Random(2)))


def pairs(points: int, n: int, chance: random.Random) -> dict[str, tuple[int, ...]]:
    """Pairs of crashes: the second counts from the start of the second run."""
    drawn = ((chance.randrange(points), chance.randrange(points)) for _ in range(n))
    return {f"at-{first}-{second}-{i}": (first, second) for i, (first, second) in enumerate(drawn)}
