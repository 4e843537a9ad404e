"""The consent ledger: what stands is the latest word by its own time, whatever order the words are told in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.decide.facts import apply_event
from orchestrator.decide.ledger import Changed
from orchestrator.decide.member import Consent, Member
from orchestrator.events.envelope import Event, read_event, write_event
from orchestrator.testing.builders import event
from orchestrator.testing.world import shipped_content

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
KEY = "email/marketing"
PROOF = {"channel": "email", "wording": "w1", "method": "form", "evidence": "form 7"}


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def grant(minutes: float, **changes: object) -> Event:
    return event("consent.granted", "ana", at(minutes), {**PROOF, **changes}, id=f"g{minutes}")


def ask(minutes: float) -> Event:
    return grant(minutes, double_opt_in=True, wording="w2")


def confirm(minutes: float) -> Event:
    data = {"channel": "email", "method": "link", "evidence": "click 1"}
    return event("consent.confirmed", "ana", at(minutes), data, id=f"c{minutes}")


def withdraw(minutes: float) -> Event:
    return event("consent.withdrawn", "ana", at(minutes), {"channel": "email", "method": "link"}, id=f"w{minutes}")


def told(*events: Event) -> list[Changed]:
    """What each of these events changes, one after the other."""
    member, changes = Member(id="ana", ref="r"), []
    for each in events:
        changes.append(apply_event(member, each, shipped_content(), lambda channel, address: channel + address))
        member = changes[-1].member
    return changes


def standing(*events: Event) -> Consent | None:
    return told(*events)[-1].member.consents.get(KEY)


def states(*events: Event) -> list[str]:
    """The entries of the log, each with a `-` where a later word stood already."""
    entries = [entry for change in told(*events) for entry in change.entries]
    return [entry.state + ("-" if '"superseded":true' in entry.trail else "") for entry in entries]


@pytest.mark.parametrize(
    ("words", "state", "since"),
    [
        ((grant(0), withdraw(5)), "withdrawn", 5),
        ((grant(0), withdraw(5), grant(9)), "granted", 9),
        ((withdraw(0), grant(5)), "granted", 5),
        # on the same instant the stricter word holds
        ((grant(5), withdraw(5)), "withdrawn", 5),
        ((grant(0), ask(2), withdraw(5)), "withdrawn", 5),
        ((ask(0), confirm(5)), "granted", 5),
        ((withdraw(0), ask(2), confirm(5)), "granted", 5),
        ((ask(0), confirm(5), withdraw(6)), "withdrawn", 6),
        # a click on what was asked for before the withdrawal is not a new wish
        ((ask(0), withdraw(2), confirm(5)), "withdrawn", 2),
        ((grant(0), ask(2), confirm(5)), "granted", 5),
    ],
)
def test_what_stands_does_not_hang_on_the_order_of_telling(words: tuple[Event, ...], state: str, since: int) -> None:
    for order in permutations(words):
        found = standing(*order)
        assert found is not None
        assert (state, at(since)) == (found.state, found.at), [each.id for each in order]


@given(
    st.lists(st.tuples(st.sampled_from((grant, withdraw)), st.integers(0, 20)), min_size=1, max_size=8), st.randoms()
)
def test_of_grants_and_withdrawals_the_latest_stands(words: list[Any], chance: Any) -> None:
    events = [make(minutes) for make, minutes in words]
    latest = max(words, key=lambda word: (word[1], word[0] is withdraw))
    chance.shuffle(events)
    found = standing(*events)
    assert found is not None
    assert ("granted" if latest[0] is grant else "withdrawn", at(latest[1])) == (found.state, found.at)


def test_a_request_is_no_consent_and_takes_nothing_away() -> None:
    assert standing(ask(0)) is None
    before, after = standing(grant(0)), standing(grant(0), ask(5))
    assert before == after
    waits = told(grant(0), ask(5))[-1].member.unconfirmed(KEY)
    assert waits is not None
    assert "w2" == waits.wording


def test_a_confirmed_consent_tells_when_it_was_asked_for_and_lifts_what_was_suppressed() -> None:
    found = standing(ask(0), confirm(5))
    assert found is not None
    assert (at(0), "w2", True) == (found.asked_at, found.wording, found.is_proven())
    assert [(), (("email", "marketing"),)] == [change.granted for change in told(ask(0), confirm(5))]
    assert {} == told(ask(0), confirm(5))[-1].member.asked


WEEK = 7 * 24 * 60


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(WEEK - 0.0001, ["asked", "confirmed"]), (WEEK, ["asked", "late"])],
    ids=["the last moment", "a week"],
)
def test_a_confirmation_has_a_week(minutes: float, expected: list[str]) -> None:
    assert expected == states(ask(0), confirm(minutes))
    assert expected == [*reversed(states(confirm(minutes), ask(0))[-2:])][::-1]
    assert (expected[-1] == "confirmed") == (standing(ask(0), confirm(minutes)) is not None)
    assert (expected[-1] == "confirmed") == (standing(confirm(minutes), ask(0)) is not None)


def test_asked_again_after_the_week_it_may_be_confirmed() -> None:
    assert ["asked", "late", "asked", "confirmed"] == states(ask(0), confirm(WEEK), ask(WEEK + 10), confirm(WEEK + 20))


def test_who_confirms_what_nobody_asked_for_has_agreed_to_nothing() -> None:
    assert ["unmatched"] == states(confirm(5))
    assert standing(confirm(5)) is None
    # nor does it confirm what is asked for later
    assert standing(confirm(5), ask(6)) is None


def test_every_word_told_is_on_record_also_what_a_later_word_had_overtaken() -> None:
    assert ["withdrawn", "granted-"] == states(withdraw(5), grant(0))
    assert ["granted", "withdrawn-"] == states(grant(5), withdraw(0))
    assert ["granted", "asked-"] == states(grant(5), ask(0))
    assert [()] * 2 == [change.granted for change in told(withdraw(5), grant(0))]
    assert [()] * 2 == [change.withdrawn for change in told(grant(5), withdraw(0))]


@pytest.mark.parametrize("missing", [{"wording": " "}, {"evidence": "\t"}])
def test_what_has_no_proof_takes_no_records_place_and_lifts_nothing(missing: dict[str, str]) -> None:
    empty = grant(9, **missing)
    assert ["granted", "unproven"] == states(grant(0), empty)
    assert standing(grant(0)) == standing(grant(0), empty)
    assert standing(withdraw(0)) == standing(withdraw(0), empty)
    assert () == told(withdraw(0), empty)[-1].granted
    # and whatever comes with one takes its place
    assert standing(grant(0)) == standing(empty, grant(0))
    assert standing(withdraw(0)) == standing(empty, withdraw(0))


def test_a_soft_opt_in_and_where_it_came_from_stay_with_the_record() -> None:
    data = {"basis": "soft_opt_in", "conditions": ["objection_offered"], "imported_from": "old till", "at": at(-60)}
    found = standing(grant(0, **data))
    assert found is not None
    assert (at(-60), ("objection_offered",), "old till") == (found.at, found.conditions, found.imported_from)
    (entry,) = told(grant(0, **data))[0].entries
    facts = msgspec.json.decode(entry.trail)
    assert ("old till", "objection_offered", "soft_opt_in") == tuple(
        facts[name] for name in ("imported_from", "conditions", "basis")
    )


def test_an_imported_consent_without_its_own_date_is_refused_at_the_door() -> None:
    with pytest.raises(msgspec.ValidationError, match="needs `at`"):
        grant(0, imported_from="old till")
    good = grant(0, imported_from="old till", at=at(-60))
    assert good == read_event(write_event(good))


def test_a_purpose_and_a_channel_by_themselves() -> None:
    service = grant(5, purpose="service")
    changed = told(grant(0), service, withdraw(9))[-1].member
    assert ("withdrawn", "granted") == (changed.consents[KEY].state, changed.consents["email/service"].state)
