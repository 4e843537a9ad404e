"""What a journey file may say: all that is wrong with it is told at once, with its line and the nearest name."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from orchestrator.content.journey_steps import KINDS
from orchestrator.content.journeys import STARTS
from orchestrator.decide import ids
from orchestrator.decide.journey import Holdout, Send, Split
from orchestrator.decide.journeys.carrying import CARRY_OUT, arm_of
from orchestrator.decide.journeys.triggers import held_out
from orchestrator.errors import ContentError
from orchestrator.testing.journeys import content_of

KEY = b"k" * 32
SEND = "  - {send: a, channels: [sms]}\n"
EVENT = "trigger: {event: purchase.completed}\n"


def problems(text: str) -> list[str]:
    with pytest.raises(ContentError) as raised:
        content_of(text)
    return [str(problem) for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ("{event: purchase.complete}", "`purchase.complete` is no event type (did you mean `purchase.completed`?"),
        ("{event: purchase.completed, manual: true}", "this one is event and manual"),
        ("{where: event.amount > 1}", "this one is none"),
        (
            "{event: purchase.completed, where: event.amont > 1}",
            "`event.amont` is not known here (did you mean `amount`?",
        ),
        ("{event: purchase.completed, yearly: true}", "`yearly` does not belong to `event`"),
        ("{date: member.birthda, yearly: true}", "did you mean `birthday`?"),
        ("{date: member.birthday, before_days: 1, after_days: 1}", "`before_days` and `after_days` at once"),
        ("{figure: purchase.completed}", "needs either `reaches` or `each`"),
        ("{figure: tier.changed, of: sum, reaches: 2}", "tier.changed has no amount and no points to sum up"),
        ("{enters: now.year > 2020}", "may not ask for `now`"),
        ("{monthly: [0]}", "no month has a day 0"),
        ("{weekly: [monday]}", "`monday` is not known here (did you mean `mon`?"),
        ("{weekly: [mon], at: '25:00'}", "must be a time of day such as 09:00"),
        ("{inactivity: 30D, after: purchase.completed}", "must be a duration"),
    ],
)
def test_a_trigger_says_what_is_wrong_with_it(trigger: str, expected: str) -> None:
    found = problems(f"trigger: {trigger}\nsteps:\n{SEND}")
    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("  - {wait: P1D, tag: x}\n", "this one is wait and tag"),
        ("  - {id: x}\n", "this one is none"),
        ("  - {wait: P1D, channels: [sms]}\n", "`channels` does not belong to `wait`"),
        ("  - {wait: {clock: '09:00', before: P1D}}\n", "`before` does not belong to `clock`"),
        ("  - {wait: {date: event.amount, before: P1D, after: P1D}}\n", "`before` and `after` at once"),
        ("  - {wait: {date: event.day}}\n", "`event.day` is not known here"),
        ("  - {until: {event: tier.change, within: P1D}}\n", "did you mean `tier.changed`?"),
        (
            "  - {until: {event: tier.changed, within: P1D, where: event.amount > 1}}\n",
            "`event.amount` is not known here",
        ),
        ("  - {branch: member.tir == 1}\n", "did you mean `tier`?"),
        ("  - split: {one: {share: 1}}\n", "a split has two ways or more"),
        ("  - repeat: {times: 99, steps: [{wait: P1D}]}\n", "`times`: must be at most 50"),
        ("  - gather: {within: P1D, most: 1}\n", "`most`"),
        ("  - {send: a, channels: [sms]}\n", "two steps are called `a`"),
        ("  - {send: a, id: b, channels: [fax]}\n", "`fax` is not known here"),
        ("  - {send: a, id: b, channels: [sms], drop_on: [frequency_caps]}\n", "did you mean `frequency_cap`?"),
        ("  - {exit: false}\n", "`exit: false` says nothing"),
    ],
)
def test_a_step_says_what_is_wrong_with_it_and_on_which_line(steps: str, expected: str) -> None:
    found = problems(f"{EVENT}steps:\n{SEND}{steps}")
    assert any(expected in problem for problem in found), found
    assert any(problem.startswith("templates/test/journey.yaml:6") for problem in found), found


def test_a_problem_names_the_column_of_the_key_that_it_is_about() -> None:
    (found,) = problems(f"{EVENT}steps:\n{SEND}  - {{wait: P1D, channels: [sms]}}\n")
    assert found.startswith("templates/test/journey.yaml:6:17: `channels` does not belong to `wait`")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("key: booking\n", "`booking` is no field of purchase.completed"),
        ("holdout: {share: 10}\n", "a service journey has no holdout"),
        ("holdout: {share: 60}\n", "at most 50"),
        ("goal: {event: survey.answered, where: start.amont == 1}\n", "did you mean `amount`?"),
        ("exit: [member.canceled]\n", "did you mean `member.cancelled`?"),
        ("utm: {sauce: x}\n", "did you mean `source`?"),
        ("audiences: x\n", "did you mean `audience`?"),
    ],
)
def test_the_rest_of_a_file_says_what_is_wrong_with_it(said: str, expected: str) -> None:
    found = problems(f"{EVENT}{said}steps:\n{SEND}")
    assert any(expected in problem for problem in found), found


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = (
        f"{EVENT}key: x\nexit: [y]\nsteps:\n{SEND}  - {{branch: member.x}}\n  - {{until: {{event: z, within: P1D}}}}\n"
    )
    assert {4, 5, 8, 9} == {int(re.search(r":(\d+)", found)[1]) for found in problems(text)}  # type: ignore[index]
    assert 4 == len(problems(text))


def test_a_step_that_has_no_name_is_called_by_the_named_step_before_it() -> None:
    text = (
        f"{EVENT}steps:\n  - wait: P1D\n{SEND}  - branch: member.tier == 'x'\n    then: [{{tag: x}}]\n"
        "  - {id: pause, wait: P1D}\n  - wait: P2D\n"
    )
    journey = content_of(text).journeys["test"]
    named = [label for label in journey.places if "/" not in label]
    assert ["start+1", "a", "a+1", "a+2", "pause", "pause+1"] == named


def test_every_kind_of_step_and_of_start_is_compiled_and_every_compiled_step_is_carried_out() -> None:
    steps = (
        f"{SEND}  - wait: P1D\n  - wait: {{clock: '09:00'}}\n  - wait: {{date: member.birthday}}\n"
        "  - until: {event: tier.changed, within: P1D}\n  - branch: member.tier == 'x'\n"
        "  - split: {one: {share: 1}, two: {share: 1}}\n  - gather: {within: P1D}\n"
        "  - repeat: {times: 2, steps: [{wait: P1D}]}\n  - tag: x\n  - untag: x\n  - exit: true\n"
    )
    journey = content_of(f"{EVENT}steps:\n{steps}").journeys["test"]
    assert {*CARRY_OUT, Send} == {type(step) for step in journey.steps}
    assert all(f"- {kind}:" in steps or f"{{{kind}:" in steps for kind in KINDS)
    starts = {
        "event": "purchase.completed", "inactivity": "P1D, after: purchase.completed", "date": "member.birthday",
        "figure": "purchase.completed, each: 2", "enters": "member.tier == 'x'", "leaves": "member.tier == 'x'",
        "weekly": "[mon]", "monthly": "[1]", "manual": "true",
    }  # fmt: skip
    assert STARTS.keys() == starts.keys()
    for way, said in starts.items():
        assert ["test"] == list(content_of(f"trigger: {{{way}: {said}}}\nsteps:\n{SEND}").journeys)


def test_a_split_is_the_same_each_time_and_in_proportion_to_its_shares() -> None:
    ways = "one: {share: 1}, two: {share: 3}, three: {share: 6}"
    journey = content_of(f"{EVENT}steps:\n{SEND}  - split: {{{ways}}}\n").journeys["test"]
    split = next(step for step in journey.steps if isinstance(step, Split))
    members = [f"member-{i}" for i in range(20_000)]
    arms = [arm_of(KEY, member, "test", split) for member in members]
    assert arms == [arm_of(KEY, member, "test", split) for member in members]
    counted = Counter(arm.rpartition("/")[2] for arm in arms)
    # five standard deviations of a fair draw
    for name, share in (("one", 0.1), ("two", 0.3), ("three", 0.6)):
        assert abs(counted[name] - share * len(members)) < 5 * (len(members) * share * (1 - share)) ** 0.5
    assert arms != [arm_of(b"other" * 8, member, "test", split) for member in members]


def test_holdouts_of_different_salts_are_drawn_apart_and_each_has_its_share() -> None:
    members = [f"member-{i}" for i in range(20_000)]
    first, second = ({m for m in members if held_out(KEY, m, Holdout(share=1_000, salt=salt))} for salt in ("a", "b"))
    spread = 5 * (len(members) * 0.1 * 0.9) ** 0.5
    assert abs(len(first) - 2_000) < spread
    assert abs(len(second) - 2_000) < spread
    assert abs(len(first & second) - 200) < 5 * (len(members) * 0.01) ** 0.5


def test_a_draw_reaches_every_number_and_none_beyond() -> None:
    assert set(range(7)) == {ids.draw(KEY, 7, "x", str(i)) for i in range(200)}
