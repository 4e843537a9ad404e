"""What holds for every rule book: more rules are never more lenient, and a deferral lands where it is permitted."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.content import locate
from orchestrator.content.laws import load_laws
from orchestrator.decide.decision import weigh
from orchestrator.decide.law import LawBook
from orchestrator.decide.member import Consent, ContactPoint, Member, Place
from orchestrator.decide.rules import Question, RegistryState

BOOK = load_laws(locate.shipped("channel_policies") / "laws")
ZONES = {
    "CO": ("America/Bogota",),
    "ES": ("Europe/Madrid", "Atlantic/Canary"),
    "US": ("America/New_York", "Pacific/Honolulu", "America/Phoenix"),
    "US-NY": ("America/New_York",),
    "FR": ("Europe/Paris",),
}
CHANNELS = ("email", "sms", "whatsapp", "telegram", "push", "phone")
PURPOSES = ("marketing", "service", "collections")
STRICTNESS = {"pass": 0, "defer": 1, "suppress": 2}
instants = st.datetimes(datetime(2024, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis adds the zone


@st.composite
def questions(draw, jurisdiction=None):
    where = jurisdiction or draw(st.sampled_from(sorted(ZONES)))
    channel, purpose = draw(st.sampled_from(CHANNELS)), draw(st.sampled_from(PURPOSES))
    at = draw(instants)
    basis = draw(st.sampled_from(["none", "opt_in", "soft_opt_in", "withdrawn"]))
    consent = Consent(
        channel=channel,
        purpose=purpose,
        state="withdrawn" if basis == "withdrawn" else "granted",
        at=at - timedelta(days=draw(st.integers(1, 900))),
        basis="soft_opt_in" if basis == "soft_opt_in" else "opt_in",
        expires_at=draw(st.none() | st.just(at + timedelta(days=3))),
    )
    places = tuple(
        Place(
            touch_id=str(i),
            channel=draw(st.sampled_from(CHANNELS)),
            purpose=draw(st.sampled_from(PURPOSES)),
            journey="j",
            contact="c",
            at=draw(st.none() | st.just(at - timedelta(hours=draw(st.integers(0, 240))))),
        )
        for i in range(draw(st.integers(0, 9)))
    )
    listed = draw(st.sampled_from([None, True, False]))
    state = RegistryState(bool(listed), None if listed is None else at - timedelta(days=draw(st.integers(0, 40))))
    names = BOOK.registries_for((where,), channel, purpose)
    return where, Question(
        at=at,
        now=at,
        channel=channel,
        purpose=purpose,
        journey="j",
        member=Member(
            id="m",
            ref="r",
            status=draw(st.sampled_from(["enrolled", "cancelled"])),
            birthday=draw(st.none() | st.dates(date(1940, 1, 1), date(2015, 12, 31))),
            region=draw(st.sampled_from(["", "ES-CT", "US-NY"])),
            places=places,
            consents={} if basis == "none" else {f"{channel}/{purpose}": consent},
        ),
        contact=ContactPoint(channel=channel, address="a", fingerprint="c"),
        zones=tuple(ZoneInfo(name) for name in draw(st.lists(st.sampled_from(ZONES[where]), unique=True))),
        registries=dict.fromkeys(names, state),
    )


@settings(max_examples=100, deadline=None)
@given(questions(), st.data())
def test_one_rule_more_is_never_more_lenient(asked, data):
    where, question = asked
    rules = BOOK.rules_for((where,), question.channel, question.purpose)
    fewer = tuple(rule for rule in rules if data.draw(st.booleans(), label=rule.id))
    assert STRICTNESS[weigh(fewer, question).says] <= STRICTNESS[weigh(rules, question).says]


@settings(max_examples=100, deadline=None)
@given(questions(), st.sampled_from(sorted(ZONES)))
def test_a_second_country_is_never_more_lenient(asked, other):
    where, question = asked
    alone = weigh(BOOK.rules_for((where,), question.channel, question.purpose), question)
    both = weigh(BOOK.rules_for((where, other), question.channel, question.purpose), question)
    assert STRICTNESS[alone.says] <= STRICTNESS[both.says]


@settings(max_examples=100, deadline=None)
@given(questions())
def test_a_deferral_lands_in_permitted_time_and_not_a_moment_late(asked):
    where, question = asked
    rules = BOOK.rules_for((where,), question.channel, question.purpose)
    tried = weigh(rules, question)
    if tried.says != "defer":
        return
    assert tried.release_at is not None
    assert tried.release_at > question.at
    assert "pass" == weigh(rules, replace(question, at=tried.release_at)).says
    just_before = replace(question, at=tried.release_at - timedelta(microseconds=1))
    assert "pass" != weigh(rules, just_before).says


@settings(max_examples=100, deadline=None)
@given(questions())
def test_a_wider_profile_is_never_more_lenient(asked):
    where, question = asked
    said = [
        STRICTNESS[weigh(BOOK.under(profile).rules_for((where,), question.channel, question.purpose), question).says]
        for profile in ("statute", "compliant", "courteous")
    ]
    assert sorted(said) == said


@settings(max_examples=100, deadline=None)
@given(questions())
def test_the_same_question_gets_the_same_answer_from_a_fresh_book(asked):
    where, question = asked
    fresh = LawBook(BOOK.packs, BOOK.profile, BOOK.require_reviewed)
    key = ((where,), question.channel, question.purpose)
    assert weigh(BOOK.rules_for(*key), question) == weigh(fresh.rules_for(*key), question)


@settings(max_examples=100, deadline=None)
@given(questions())
def test_every_refusal_names_reason_version_and_article(asked):
    where, question = asked
    for rule in BOOK.rules_for((where,), question.channel, question.purpose):
        finding = rule.judge(question)
        assert "@" in finding.version
        assert finding.cite
        assert (finding.says == "pass") == (finding.reason == "")
        assert finding.until is None or finding.until > question.at


@settings(max_examples=100, deadline=None)
@given(questions())
def test_without_any_word_of_the_member_no_marketing_rests_on_an_unread_rule(asked):
    """Wherever marketing passes without a recorded consent, a rule that was read or is old and stable says so."""
    where, question = asked
    question = replace(question, member=replace(question.member, consents={}), purpose="marketing")
    rules = BOOK.rules_for((where,), question.channel, "marketing")
    registries = BOOK.registries_for((where,), question.channel, "marketing")
    fresh = RegistryState(False, question.now)
    question = replace(question, registries=dict.fromkeys(registries, fresh))
    if weigh(rules, question).says == "suppress":
        return
    sure = {
        rule.id
        for pack in BOOK.chain(where)
        for rule in pack.rules
        if rule.kind == "consent" and rule.confidence != "unverified" and rule.covers(question.channel, "marketing")
    }
    assert sure & {rule.id for rule in rules}
