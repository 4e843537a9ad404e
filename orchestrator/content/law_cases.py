"""Cases of law: a person, a moment and a contact, and what must come of it. Read from `cases.yaml` or a CSV table.

A case is turned into the same `Question` that the pipeline asks, and weighed by the same rules.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from orchestrator.content.files import read_yaml
from orchestrator.decide.decision import reason_of, weigh
from orchestrator.decide.law import LawBook, Profile
from orchestrator.decide.member import Aggregate, Asked, Consent, ContactPoint, Member, Place, Residence
from orchestrator.decide.result import Tried
from orchestrator.decide.rules import Question, RegistryState
from orchestrator.errors import ContentError, Problem
from orchestrator.events.types import Channel, Condition, Purpose
from orchestrator.located import convert

T = TypeVar("T")
CASES = "cases.yaml"
Verdict = Literal["send", "defer", "suppress"]
Given = Literal["none", "opt_in", "soft_opt_in", "withdrawn", "expired"]

_MOMENT = re.compile(r"(?P<local>[^\[\]]+)\[(?P<zone>[^\[\]]+)\]")
_PRIOR = re.compile(r"(?:(?P<n>\d+) )?(?P<words>[^:]+): (?P<items>.+)")
_AT = re.compile(r"(?:(?P<channel>[a-z]+) )?(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?)")
CONVERSATION = "collections_conversation"
# when a case does not say: consent was given a month before, taken back a day before, a list obtained an hour before
_GRANTED, _WITHDRAWN, _CHECKED = timedelta(days=30), timedelta(days=1), timedelta(hours=1)
# the contact point of every case
FINGERPRINT = "case"
COLUMNS = (
    "id",
    "jurisdiction",
    "subdivision",
    "local_datetime",
    "channel",
    "category",
    "consent_state",
    "consent_detail",
    "prior_contacts",
    "registry_listed",
    "expected",
    "earliest_allowed_local",
    "profile",
)
_WORDS: dict[str, Verdict] = {"allow": "send", "send": "send", "defer": "defer", "suppress": "suppress"}
_CONSENTS: dict[str, Given] = {
    "none": "none",
    "opt_in": "opt_in",
    "soft_opt_in": "soft_opt_in",
    "implied_24m": "soft_opt_in",
    "implied_6m": "soft_opt_in",
    "opted_out": "withdrawn",
    "expired": "expired",
}
_PURPOSES: dict[str, Purpose] = {
    "marketing": "marketing",
    "transactional": "service",
    "service": "service",
    "collections": "collections",
}


class Prior(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An earlier touch. The words left out are those of the case."""

    # RFC 9557, or local time in the case's zone
    at: str
    channel: Channel | None = None
    purpose: Purpose | None = None
    journey: str | None = None
    # an earlier touch to another contact point
    other_contact: bool = False


class Word(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further word of the member on consent."""

    channel: Channel
    # a purpose, or a topic within one
    purpose: str
    state: Literal["granted", "withdrawn"]
    # RFC 9557, or local time in the case's zone; a month (granted) or a day (withdrawn) before the case where left out
    at: str = ""
    wording: str = "another"


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One expectation. In `cases.yaml`, `case` is a sentence that says what must hold."""

    case: Annotated[str, Meta(min_length=1)]
    # RFC 9557: 2026-11-24T07:59:00-05:00[America/Bogota]
    at: str
    channel: Channel
    purpose: Purpose
    expect: Verdict
    # the pack's own, where left out
    country: str = ""
    # ISO 3166-2
    region: str = ""
    consent: Given = "none"
    # when the consent was given (date, or local time)
    given: str = ""
    wording: str = "case"
    # soft_opt_in: what its proof attests; all there is, where left out
    attests: tuple[Condition, ...] | None = None
    # when a further consent was asked for that was not confirmed yet (date, or local time)
    asked: str = ""
    words: tuple[Word, ...] = ()
    prior: tuple[Prior, ...] = ()
    # y: listed; n: not listed; unknown: the list was never loaded
    registry: Literal["y", "n", "unknown"] = "n"
    # when the list was obtained; an hour before the case where left out
    registry_checked: str = ""
    birthday: date | None = None
    # a date: last purchase
    last_purchase: str = ""
    # no member any more
    ended: bool = False
    attributes: dict[str, str] = {}
    # the member's zone is not known: `at` says the moment only
    zone_unknown: bool = False
    profile: Profile = "compliant"
    # reason code of the first binding finding; "" where it is not checked
    reason: str = ""
    # RFC 9557; "" where the instant is not checked
    earliest: str = ""
    # a rule that must be among the findings that do not pass, advisory ones included
    rule: str = ""


class Outcome(Struct, frozen=True, kw_only=True):
    """What the law book makes of a case."""

    case: Case
    got: Verdict
    reason: str
    earliest: datetime | None
    tried: Tried

    @property
    def agrees(self) -> bool:
        """Whether it is what the case expects: the verdict, and the reason, instant and rule where it names them."""
        wanted = moment(self.case.earliest)[0] if self.case.earliest else None
        named = {finding.rule for finding in self.tried.findings if finding.says != "pass"}
        return (
            self.case.expect == self.got
            and (not self.case.reason or self.case.reason == self.reason)
            and (wanted is None or wanted == self.earliest)
            and (not self.case.rule or self.case.rule in named)
        )


def moment(text: str) -> tuple[datetime, ZoneInfo]:
    """An RFC 9557 instant as (UTC, its zone). Raises ValueError where offset and zone disagree, or one is missing."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no moment such as 2026-11-24T07:59:00-05:00[America/Bogota]")
    try:
        zone = ZoneInfo(match["zone"])
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{match['zone']!r} is no IANA zone") from None
    at = datetime.fromisoformat(match["local"])
    if at.tzinfo is None or at.utcoffset() != at.astimezone(zone).utcoffset():
        raise ValueError(f"{text!r}: the offset is not what {zone.key} has then")
    return at.astimezone(UTC), zone


def local(at: datetime, zone: ZoneInfo) -> str:
    """An instant in RFC 9557."""
    return f"{at.astimezone(zone).isoformat(timespec='seconds')}[{zone.key}]"


def judge(book: LawBook, case: Case) -> Outcome:
    """The case under its own profile."""
    book = book if book.profile == case.profile else book.under(case.profile)
    question = question_of(book, case)
    rules = book.rules_for(question.member.residence.jurisdictions, case.channel, case.purpose)
    tried = weigh(rules, question)
    got: Verdict = "send" if tried.says == "pass" else tried.says
    return Outcome(case=case, got=got, reason=reason_of(tried), earliest=tried.release_at, tried=tried)


def question_of(book: LawBook, case: Case) -> Question:
    """The question that the pipeline would ask of such a member at such a moment. Raises ValueError."""
    at, zone = moment(case.at)
    jurisdictions = book.jurisdictions_of(case.country, case.region, ())
    registries = book.registries_for(jurisdictions, case.channel, case.purpose)
    checked = _when(case.registry_checked, zone) if case.registry_checked else at - _CHECKED
    state = RegistryState(case.registry == "y", None if case.registry == "unknown" else checked)
    contact = ContactPoint(channel=case.channel, address="case", fingerprint=FINGERPRINT)
    last = _when(case.last_purchase, zone) if case.last_purchase else None
    member = Member(
        id="case",
        ref="case",
        status="cancelled" if case.ended else "enrolled",
        birthday=case.birthday,
        country=case.country,
        region=case.region,
        attributes=dict(case.attributes),
        contact_points=(contact,),
        residence=Residence(
            jurisdictions=jurisdictions,
            zones=() if case.zone_unknown else (zone.key,),
            zone_from="nothing" if case.zone_unknown else "profile",
        ),
        consents={f"{consent.channel}/{consent.purpose}": consent for consent in _consents(case, at, zone)},
        asked=_asked(case, zone),
        aggregates={"purchase.completed": Aggregate(count=1, sum=0, first=last, last=last)} if last else {},
        places=tuple(_place(i, prior, case, zone) for i, prior in enumerate(case.prior)),
    )
    return Question(
        at=at,
        now=at,
        channel=case.channel,
        purpose=case.purpose,
        journey="case",
        member=member,
        contact=contact,
        zones=() if case.zone_unknown else (zone,),
        registries=dict.fromkeys(registries, state),
    )


def _consents(case: Case, at: datetime, zone: ZoneInfo) -> Iterable[Consent]:
    for word in case.words:
        before = _GRANTED if word.state == "granted" else _WITHDRAWN
        said = _when(word.at, zone) if word.at else at - before
        yield Consent(
            channel=word.channel,
            purpose=word.purpose,
            state=word.state,
            at=said,
            wording=word.wording,
            evidence="case",
            record=f"case:{word.channel}/{word.purpose}",
        )
    if case.consent == "none":
        return
    withdrawn = case.consent == "withdrawn"
    given = _when(case.given, zone) if case.given else at - (_WITHDRAWN if withdrawn else _GRANTED)
    yield Consent(
        channel=case.channel,
        # an objection to marketing does not speak of service messages
        purpose="marketing" if withdrawn else case.purpose,
        state="withdrawn" if withdrawn else "granted",
        at=given,
        basis="soft_opt_in" if case.consent == "soft_opt_in" else "opt_in",
        wording=case.wording,
        evidence="case",
        conditions=get_args(Condition) if case.attests is None else case.attests,
        expires_at=at if case.consent == "expired" else None,
        record="case",
    )


def _asked(case: Case, zone: ZoneInfo) -> dict[str, Asked]:
    if not case.asked:
        return {}
    at = _when(case.asked, zone)
    consent = Consent(
        channel=case.channel, purpose=case.purpose, state="granted", at=at, wording="case", evidence="case"
    )
    return {f"{case.channel}/{case.purpose}": Asked(consent=consent)}


def _place(i: int, prior: Prior, case: Case, zone: ZoneInfo) -> Place:
    return Place(
        touch_id=f"case-{i}",
        channel=prior.channel or case.channel,
        purpose=prior.purpose or case.purpose,
        journey=prior.journey or "case",
        contact="another" if prior.other_contact else FINGERPRINT,
        at=_when(prior.at, zone),
    )


def _when(text: str, zone: ZoneInfo) -> datetime:
    """RFC 9557, or local time or date in `zone`, as UTC."""
    if "[" in text:
        return moment(text)[0]
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC)


# --- cases.yaml


def read_cases(path: Path, jurisdiction: str) -> list[tuple[int, Case]]:
    """The cases of a pack with their lines, in its own jurisdiction where they name none. Raises ContentError."""
    located = read_yaml(path)
    region = jurisdiction if "-" in jurisdiction else ""
    country = "" if jurisdiction.startswith("_") else jurisdiction.partition("-")[0]
    found: list[tuple[int, Case]] = []
    problems: list[Problem] = []
    for i, case in enumerate(convert(located, tuple[Case, ...])):
        own = "" if case.country else region
        stated = msgspec.structs.replace(
            case, country=case.country or case.region[:2] or country, region=case.region or own
        )
        try:
            _understood(stated)
        except ValueError as error:
            problems.append(located.problem(str(error), at=(i,)))
        found.append((located.line(i), stated))
    if problems:
        raise ContentError(problems)
    return found


def _understood(case: Case) -> None:
    """Raises ValueError where an instant of the case can't be read."""
    at, zone = moment(case.at)
    for text in (case.given, case.asked, case.registry_checked, case.last_purchase, *(word.at for word in case.words)):
        if text and _when(text, zone) > at:
            raise ValueError(f"{text!r} lies after the case's own moment")
    for prior in case.prior:
        _when(prior.at, zone)
    if case.earliest and moment(case.earliest)[0] <= at:
        raise ValueError("`earliest` is not after the case's own moment")


# --- the CSV table


class Row(Struct, frozen=True, kw_only=True):
    """One row of the table, with the words it was written in."""

    id: str
    line: int
    zone: ZoneInfo
    case: Case


def read_table(path: Path) -> list[Row]:
    """The rows of a CSV table of cases (columns: COLUMNS; others are left aside). Raises ContentError."""
    problems: list[Problem] = []
    rows: list[Row] = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
                raise ContentError([Problem(str(path), 1, f"columns missing: {', '.join(missing)}")])
            for raw in reader:
                try:
                    rows.append(_row({key: value or "" for key, value in raw.items() if key}, reader.line_num))
                except ValueError as error:
                    problems.append(Problem(str(path), reader.line_num, f"{raw.get('id')}: {error}"))
    except OSError as error:
        raise ContentError([Problem(str(path), 1, f"can't be read: {error.strerror}")]) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ContentError([Problem(str(path), 1, f"no CSV in UTF-8: {error}")]) from None
    if problems:
        raise ContentError(problems)
    return rows


def _row(raw: dict[str, str], line: int) -> Row:
    at, zone = moment(raw["local_datetime"])
    detail = dict(item.partition("=")[::2] for item in raw["consent_detail"].split(";") if item)
    prior, attributes = _prior(raw["prior_contacts"], zone)
    consent: Given = _known(_CONSENTS, raw["consent_state"], "consent_state")
    purpose = _known(_PURPOSES, raw["category"], "category")
    channel = _channel(raw["channel"])
    words: tuple[Word, ...] = ()
    if topic := detail.get("stop_reply_to"):
        # the member said STOP to another topic than the one of this message
        words = (Word(channel=channel, purpose=topic, state="withdrawn"),)
        consent = "none" if consent == "withdrawn" else consent
    last = detail.get("last_interaction") or detail.get("last_purchase") or ""
    if consent == "expired" and "last_interaction" in detail:
        # it is for the pack to find that it ended
        consent = "soft_opt_in"
    if raw["registry_listed"] not in ("", "y", "n", "unknown"):
        raise ValueError(f"registry_listed is y, n or unknown, not {raw['registry_listed']!r}")
    if raw["profile"] not in get_args(Profile):
        raise ValueError(f"profile is {', '.join(get_args(Profile))}, not {raw['profile']!r}")
    case = Case(
        case=raw["id"],
        at=raw["local_datetime"],
        channel=channel,
        purpose=purpose,
        expect=_known(_WORDS, raw["expected"], "expected"),
        country=raw["jurisdiction"],
        region=raw["subdivision"],
        consent=consent,
        given=detail.get("consent_collected") or detail.get("last_interaction") or "",
        # `similar=no`: what is advertised is not what the customer bought
        attests=tuple(set(get_args(Condition)) - {"own_similar_products"}) if detail.get("similar") == "no" else None,
        words=words,
        prior=prior,
        registry=raw["registry_listed"] or "n",  # type: ignore[arg-type]  # checked above
        last_purchase=last,
        ended="contract_ended" in detail and date.fromisoformat(detail["contract_ended"]) <= at.date(),
        attributes=attributes,
        profile=raw["profile"],  # type: ignore[arg-type]  # checked above
        earliest=raw["earliest_allowed_local"],
    )
    if case.earliest:
        moment(case.earliest)
    return Row(id=raw["id"], line=line, zone=zone, case=case)


def _prior(text: str, zone: ZoneInfo) -> tuple[tuple[Prior, ...], dict[str, str]]:
    """`1 sms today: 2026-11-24T10:00; …` as touches; `conversation: …` as the attribute that tells it."""
    if not text:
        return (), {}
    match = _PRIOR.fullmatch(text)
    items = [_AT.match(item.strip()) for item in match["items"].split(";")] if match else []
    if match is None or not all(items):
        raise ValueError(f"prior_contacts {text!r} is not understood")
    channel = next((word for word in match["words"].split() if word in get_args(Channel)), None)
    found = [(item["channel"] or channel, item["at"]) for item in items if item is not None]
    if match["words"] == "conversation":
        latest = max(at for _, at in found)
        return (), {CONVERSATION: _when(latest, zone).isoformat()}
    if match["n"] and int(match["n"]) != len(found):
        raise ValueError(f"prior_contacts {text!r} says {match['n']} and lists {len(found)}")
    return tuple(Prior(at=at, channel=_channel(name) if name else None) for name, at in found), {}


def _channel(name: str) -> Channel:
    return _known({channel: channel for channel in get_args(Channel)}, name, "channel")


def _known(words: dict[str, T], word: str, column: str) -> T:
    if word not in words:
        raise ValueError(f"{column} is {', '.join(words)}, not {word!r}")
    return words[word]
