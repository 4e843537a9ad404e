"""A taking over is told as undisturbed where nothing else was going on, and only there."""

from __future__ import annotations

from tests.chaos.trouble import SETTLES_S, Aftermath, Struck


def after(at: float, recovered: float | None, taken_over: float | None = None) -> Aftermath:
    """A kill, and what became of it."""
    made = Aftermath(Struck("kill", at, at, ("worker-1",), met=True))
    made.recovered, made.taken_over = recovered, taken_over
    return made


def test_one_fault_after_the_other_leaves_each_alone() -> None:
    first, second = after(100, 112, 109), after(113, 125, 121)
    assert first.alone([first, second], [])
    assert second.alone([first, second], [])


def test_a_fault_that_was_not_recovered_from_disturbs_the_next() -> None:
    for recovered in (114, None):
        first, second = after(100, recovered, 109), after(113, 125, 121)
        assert first.alone([first, second], [])
        assert not second.alone([first, second], [])


def test_a_fault_before_the_taking_over_disturbs_it() -> None:
    first, second = after(100, 112, 109), after(108, 125)
    assert not first.alone([first, second], [])


def test_workers_that_join_or_leave_disturb_it_until_they_have_settled() -> None:
    kill = after(100, 112, 109)
    assert not kill.alone([kill], [100 - SETTLES_S + 1])
    assert not kill.alone([kill], [108])
    assert kill.alone([kill], [100 - SETTLES_S - 1, 110])


def test_what_was_never_taken_over_is_not_told() -> None:
    assert not after(100, 112).alone([], [])
