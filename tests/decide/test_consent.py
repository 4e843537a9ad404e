"""The house's demand for consent, and the end of a membership."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from orchestrator.decide.consent import ConsentRule, MembershipRule
from orchestrator.decide.member import Aggregate, Asked, Consent, Member
from orchestrator.decide.rules import Finding, Question

NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
RULE = ConsentRule(id="consent", version="1")
LENIENT = ConsentRule(id="consent", version="1", required=False)


def granted(**changes: object) -> Consent:
    fields = {"channel": "email", "purpose": "marketing", "state": "granted", "at": NOON, "wording": "v3"}
    return Consent(**{**fields, "evidence": "form 7", "record": "shop 12", **changes})  # type: ignore[arg-type]


def question(*consents: Consent, channel: str = "email", purpose: str = "marketing", **member: object) -> Question:
    held = {f"{consent.channel}/{consent.purpose}": consent for consent in consents}
    return Question(
        at=NOON, now=NOON, channel=channel, purpose=purpose, journey="j", contact=None, zones=(), registries={},
        member=Member(id="m", ref="r", consents=held, **member),  # type: ignore[arg-type]
    )  # fmt: skip


def answer(rule: ConsentRule, *consents: Consent, **asked: str) -> tuple[str, str]:
    found = rule.judge(question(*consents, **asked))  # type: ignore[arg-type]
    return found.says, found.reason


PASS = ("pass", "")


def test_a_proven_consent_passes_and_its_record_is_named() -> None:
    found = RULE.judge(question(granted()))
    assert ("pass", "shop 12") == (found.says, found.saw["record"])


@pytest.mark.parametrize(
    ("consent", "reason"),
    [
        (granted(channel="sms"), "no_consent"),
        (granted(purpose="service"), "no_consent"),
        (granted(wording=""), "no_consent"),
        (granted(evidence="  "), "no_consent"),
        (granted(state="withdrawn"), "consent_withdrawn"),
        (granted(expires_at=NOON), "consent_expired"),
        (granted(expires_at=NOON - timedelta(days=9)), "consent_expired"),
    ],
)
def test_anything_less_than_a_proven_unexpired_consent_for_this_channel_and_purpose_suppresses(
    consent: Consent, reason: str
) -> None:
    assert ("suppress", reason) == answer(RULE, consent)


def test_a_consent_holds_until_the_instant_of_its_end() -> None:
    assert answer(RULE, granted(expires_at=NOON + timedelta(microseconds=1))) == PASS


def test_without_any_record_there_is_no_consent() -> None:
    found = RULE.judge(question())
    assert ("suppress", "no_consent", None) == (found.says, found.reason, found.saw["consent"])


def test_a_house_may_refuse_the_soft_opt_in() -> None:
    strict = ConsentRule(id="consent", version="1", accept=frozenset({"opt_in"}))
    assert ("suppress", "consent_basis") == answer(strict, granted(basis="soft_opt_in"))
    assert answer(RULE, granted(basis="soft_opt_in")) == PASS


def test_where_no_consent_is_required_a_withdrawal_still_ends_marketing_but_not_service() -> None:
    assert answer(LENIENT) == PASS
    assert ("suppress", "consent_withdrawn") == answer(LENIENT, granted(state="withdrawn"))
    assert answer(LENIENT, granted(state="withdrawn", purpose="service"), purpose="service") == PASS
    assert ("suppress", "consent_withdrawn") == answer(
        RULE, granted(state="withdrawn", purpose="service"), purpose="service"
    )


ANEW = ConsentRule(id="consent", version="1", reconfirm_months=24, reconfirmed_by=frozenset({"still-you"}))


@pytest.mark.parametrize(
    ("since", "reason"), [("2024-11-18T12:00:00", "reconfirmation_due"), ("2024-11-18T12:00:01", "")]
)
def test_a_consent_must_be_given_anew_after_the_months_that_the_house_says(since: str, reason: str) -> None:
    given = granted(at=datetime.fromisoformat(since).replace(tzinfo=UTC))
    assert reason == answer(ANEW, given)[1]
    assert answer(RULE, given) == PASS
    # who asks for it may write, and the trail says that it is due
    found = ANEW.judge(replace(question(given), journey="still-you"))
    assert ("pass", bool(reason)) == (found.says, "reconfirm_from" in found.saw)


def test_a_dealing_since_puts_it_off_where_the_house_says_so() -> None:
    old = granted(at=NOON - timedelta(days=3000))
    last = Aggregate(count=1, sum=1, first=NOON, last=NOON - timedelta(days=700))
    asked = question(old, aggregates={"purchase.completed": last})
    lenient = replace(ANEW, reconfirm_since="last_dealing")
    assert ("reconfirmation_due", "") == (ANEW.judge(asked).reason, lenient.judge(asked).reason)
    assert "reconfirmation_due" == lenient.judge(question(old)).reason


@pytest.mark.parametrize(
    "standing",
    [(), (granted(wording=""),), (granted(state="withdrawn"),), (granted(expires_at=NOON),), (granted(basis="other"),)],
)
def test_what_waits_for_its_confirmation_is_told_instead_of_what_does_not_do(standing: tuple[Consent, ...]) -> None:
    waiting = {"email/marketing": Asked(consent=granted())}
    found = RULE.judge(question(*standing, asked=waiting))
    assert ("suppress", "consent_pending", "2026-11-25T12:00+00:00") == (
        found.says, found.reason, found.saw["confirm_before"],
    )  # fmt: skip
    assert not RULE.keeps(question(*standing, asked=waiting))
    # a confirmation of nothing is nothing, and a consent that stands is not touched
    assert (
        "consent_pending" != RULE.judge(question(*standing, asked={"email/marketing": Asked(confirmed_at=NOON)})).reason
    )
    assert answer(RULE, granted()) == PASS == _answer(RULE.judge(question(granted(), asked=waiting)))


def _answer(found: Finding) -> tuple[str, str]:
    return found.says, found.reason


def test_a_house_may_refuse_what_another_system_collected() -> None:
    strict = ConsentRule(id="consent", version="1", accept_imported=False)
    taken_over = granted(imported_from="old till")
    assert ("suppress", "consent_basis") == answer(strict, taken_over)
    assert answer(RULE, taken_over) == PASS
    assert answer(strict, granted()) == PASS


@pytest.mark.parametrize(("status", "says"), [("known", "pass"), ("enrolled", "pass"), ("cancelled", "suppress")])
def test_only_a_cancelled_membership_has_ended(status: str, says: str) -> None:
    found = MembershipRule(id="membership", version="1").judge(question(status=status))
    assert (says, "membership_ended" if says == "suppress" else "") == (found.says, found.reason)
