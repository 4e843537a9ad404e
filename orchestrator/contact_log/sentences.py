"""The words for what the log holds: every code of every closed list has a sentence here, and nothing else has words.

A code that is not in a list (an older or newer log) is shown as it stands, never refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from orchestrator.times import duration, in_words

Saw = Mapping[str, str | int | bool | None]
Left = dict[str, str | int | bool | None]

# why a contact was not made, or not yet: decide.rules.REASONS
REASONS: dict[str, str] = {
    "no_consent": "the member never consented to it",
    "consent_pending": "the member was asked to confirm the consent and did not",
    "consent_withdrawn": "the member took the consent back",
    "consent_expired": "the consent had ended",
    "consent_basis": "the consent on record is not of the kind that is needed here",
    "consent_condition": "what the law asks for before a customer is written to unasked is not on record",
    "reconfirmation_due": "the consent is old and must be given anew",
    "registry_listed": "the contact point stands on a do-not-contact list",
    "registry_unknown": "the do-not-contact list was never obtained, or is too old to rely on",
    "platform_block": "the channel is barred for this purpose",
    "under_age": "the member is too young, or may be",
    "quiet_hours": "it fell into the programme's own quiet hours",
    "law_hours": "it fell outside the hours that the law permits",
    "frequency_cap": "the programme's own limit of messages was reached",
    "law_cap": "the law's limit of contacts was reached",
    "minimum_gap": "the last message was too short a while ago",
    "member_limit": "the member asked for no more messages than came already",
    "member_paused": "the member asked for a pause",
    "topic_declined": "the member does without messages of this kind",
    "complaint_open": "a complaint of the member is still open",
    "conversation_closed": "the member had not written for so long that the platform takes approved texts alone",
    "no_contact_point": "the member has no contact point for the channel",
    "contact_point_unfit": "the contact point is of a kind that the programme does not send this to",
    "contact_point_unhealthy": "the contact point does not work, or its owner complained",
    "channel_refused": "the channel had refused this message, or it had bounced there",
    "zone_unknown": "the member's time zone is not known, so no hour is known to be permitted",
    "dispatch_window_closed": "the permitted hours had ended by the time it could be handed over",
    "suppressed": "the member or the contact point is not to be contacted",
    "membership_ended": "the membership had ended",
    "stale": "what triggered it lay too far back",
    "expired": "it could not be sent within the time in which it is of use",
    "provider_unavailable": "no provider account of the channel could be called within the time in which it is of use",
    "content_error": "the journey or its template has an error",
    "exited": "the member had left the journey by then",
    "goal_reached": "what the journey is for had happened by then",
    "holdout": "the member is one of those whom nothing is sent to, so that the rest can be compared with them",
    "stopped": "the journey was stopped by an operator",
    "not_approved": "the journey had not been approved by then",
    "merged": "the member turned out to be the same person as another, who is written to instead",
    "step_gone": "the step at which the member stood is not in the journey any more",
    "date_missing": "the date that it waited for is not known",
    "voucher_none_left": "no voucher code was left for it, or none that would be good for long enough",
    "journey_limit": "the member was in as many journeys at once as are allowed",
    "erased": "the member asked to be forgotten",
}

# why a touch was cancelled or refused, beside REASONS
TOUCH_REASONS: dict[str, str] = {
    "rejected_recipient": "the provider does not deliver to this contact point",
    "rejected_message": "the provider refused the message itself",
    "rejected_sender": "the provider refused the sender",
    "throttled": "the provider asked to slow down",
    "transient": "the provider could not take it just then",
    "not_called": "the moment to hand it over had passed, so that it was not",
    "complained": "the member complained of a message",
    "opted_out": "the member opted out",
    "hard_bounced": "the contact point does not exist any more",
    "soft_bounced": "the contact point could not be reached for a while",
    "invalid": "the contact point does not exist",
    "switch": "sending was stopped by an operator",
    "caps_joined": "another id turned out to be the same person, and what had reached both left no room for it then",
}

# what became of a touch; `{channel}` is the channel
STATES: dict[str, str] = {
    "reserved": "The message was put in line to go out by {channel}",
    "claimed": "The message was taken up for sending",
    "attempting": "It was handed to the provider",
    "accepted": "The provider accepted it",
    "rejected": "The provider refused it for good",
    "unknown": "Whether the provider took it is not known; it is not sent again",
    "cancelled": "It was cancelled before it was handed over",
    "sent": "The provider sent it on",
    "delivered": "It was delivered",
    "failed": "It did not arrive, for a reason that is not the contact point's",
    "bounced": "It bounced: the contact point does not exist",
    "soft_bounced": "It bounced for the time being",
    "opened": "It was opened",
    "clicked": "A link in it was followed",
    "replied": "The member replied",
    "complained": "The member complained of it",
    "opted_out": "The member opted out in answer to it",
}

# what an operator is to hear of
ALARMS: dict[str, str] = {
    "deadline_endangered": "It is in danger of not reaching the member by {by}",
    "deadline_missed": "It had not reached the member by {by}",
    "vouchers_low": "Few voucher codes are left in the pool {pool}: {left}",
    "vouchers_gone": "No voucher code of the pool {pool} could be given",
}

CONSENT: dict[str, str] = {
    "granted": "The member consented to {purpose} by {channel}",
    "asked": "The member was asked to confirm the consent to {purpose} by {channel}",
    "confirmed": "The member confirmed the consent to {purpose} by {channel}",
    "late": "The member confirmed the consent to {purpose} by {channel} too late for it to count",
    "unmatched": "The member confirmed a consent to {purpose} by {channel} that was not asked for, or is not told yet",
    "unproven": "A consent to {purpose} by {channel} came without proof and does not count",
    "withdrawn": "The member took back the consent to {purpose} by {channel}",
}

HEALTH: dict[str, str] = {
    "ok": "The contact point for {channel} works",
    "soft_bounced": "The contact point for {channel} could not be reached for the time being",
    "hard_bounced": "The contact point for {channel} does not exist any more; nothing is sent to it",
    "complained": "The owner of the contact point for {channel} complained; nothing is sent to it",
    "invalid": "The contact point for {channel} does not exist; nothing is sent to it",
    "requested": "The member wants to be reached at another contact point for {channel}, once it is confirmed",
    "confirmed": "The contact point for {channel} that the member wants was confirmed, and replaces the former one",
    "heard": "The owner of the contact point for {channel} wrote to us",
    "shared": "Another member has the contact point for {channel} too; caps count what it is sent to either",
}

MEMBER: dict[str, str] = {
    "enrolled": "The member joined the programme",
    "cancelled": "The member left the programme",
    "merged": "The member is the same person as another: everything goes on under the other id",
    "absorbed": "Another id turned out to be the same person: what was known of it counts here too",
    "merge_refused": "A merge changed nothing: both ids stood for this member already",
    "erased": "The member was forgotten: the key to all personal data was destroyed",
}

JOURNEY: dict[str, str] = {
    "goal_reached": "What the journey {journey} is for has happened: the member's run of it ended",
}

COMMANDS: dict[str, str] = {
    "start": "had the member enter a journey",
    "activate": "put a content revision in force",
    "propose": "proposed a version of a journey",
    "approve": "approved a version of a journey",
    "suppress": "ordered that the member is not contacted",
    "unsuppress": "lifted the order not to contact the member",
    "switch": "set or lifted a stop",
    "erase": "ordered that the member be forgotten",
    "restrict": "restricted what is done with the member's data",
    "merge": "said that the member is the same person as another",
    "redrive": "had the inputs applied that were parked after an error",
}

ZONE_FROM: dict[str, str] = {
    "profile": "the member's profile",
    "address": "the member's address",
    "phone_prefix": "the prefix of the phone number",
    "country": "the member's country",
    "nothing": "nothing",
}

CHANNELS: dict[str, str] = {
    "email": "e-mail",
    "sms": "SMS",
    "whatsapp": "WhatsApp",
    "telegram": "Telegram",
    "push": "push message",
    "phone": "phone",
    "*": "any channel",
    "": "any channel",
}

# more candidate zones than these are counted, not listed
FEW_ZONES = 5
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def because(reason: str) -> str:
    """The words of a reason code; the code itself where it is not known."""
    return REASONS.get(reason) or TOUCH_REASONS.get(reason) or f"reason {reason}"


def channel_name(channel: str) -> str:
    """A channel as people call it."""
    return CHANNELS.get(channel, channel)


def moment(at: datetime, zone: ZoneInfo | None) -> str:
    """`Sunday 1 March 2026, 09:00 in America/Bogota (2026-03-01 14:00:05 UTC)`; without a zone, UTC alone."""
    utc = at.astimezone(UTC)
    text = f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    if zone is None:
        return text
    local = at.astimezone(zone)
    day = f"{_DAYS[local.weekday()]} {local.day} {_MONTHS[local.month - 1]} {local.year}"
    return f"{day}, {local:%H:%M} in {zone.key} ({text})"


def zones(names: tuple[str, ...], source: str) -> str:
    """Which clock held for the member, and how that is known."""
    ground = ZONE_FROM.get(source, source)
    if not names:
        return "No time zone is known for the member."
    if len(names) == 1:
        return f"The member's clock is that of {names[0]}, known from {ground}."
    known = f"The member's time zone is not known for sure, only by {ground}"
    if len(names) > FEW_ZONES:
        return f"{known}: the moment had to be permitted in all {len(names)} zones it may be, which the entry names."
    return f"{known}: the moment had to be permitted in all of {listed(names)}."


def numbers(saw: Saw) -> str:
    """What a rule saw, in words; what has no words of its own is named by its key. "" where it saw nothing."""
    left = dict(saw)
    parts = [part for part in (say(left) for say in _SAYINGS) if part]
    rest = [f"{key.replace('_', ' ')} {_plain(value)}" for key, value in left.items()]
    # the reading of an open text may be long: it stands last
    return "; ".join(filter(None, [", ".join([*parts, *rest]), _reading_of(saw)]))


def listed(names: tuple[str, ...]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# --- what rules see; each takes the keys it has words for out of what is left


def _local(left: Left) -> str:
    """The hour of the member's day, and the hours that are permitted."""
    local = left.pop("local", None)
    if local is None:
        return ""
    zone, window, on_holiday = left.pop("zone", None), left.pop("window", None), left.pop("holiday", None)
    candidates, known = left.pop("zones", 1), left.pop("zone_known", True)
    # an instant with its date, or the hour alone
    text = str(local)[11:16] or str(local)
    if zone:
        text += f" in {zone}"
    if on_holiday:
        text += " on a public holiday"
    if window:
        text += f", permitted {window}"
    if not known:
        text += ", one of the country's zones"
    elif isinstance(candidates, int) and candidates > 1:
        text += f", one of {candidates} zones the member may be in"
    return text


def _count(left: Left) -> str:
    """How many there were, of how many."""
    if "n" not in left or "max" not in left:
        return ""
    n, most = left.pop("n"), left.pop("max")
    window = str(left.pop("window", None) or left.pop("per", None) or "")
    text = f"{n} of {most}" + (f" in {_stretch(window.replace('_', ' ').removeprefix('rolling '))}" if window else "")
    if "reserved" in left:
        kept, others = left.pop("reserved"), left.pop("n_others", None)
        text += f", {kept} of them kept for other journeys" + (
            "" if others is None else f" ({others} taken by the rest)"
        )
    return text


def _gap(left: Left) -> str:
    """How long it must be since the last touch, and when that was."""
    if "gap" not in left:
        return ""
    gap, last = left.pop("gap"), left.pop("last", None)
    apart = f"at least {_stretch(str(gap))} apart, "
    return apart + (f"the last one was at {_utc(str(last))}" if last else "there was none before")


def _stretch(text: str) -> str:
    """A duration in words (`PT20H` is 20 hours); `calendar day` and the like as they stand, one of them."""
    try:
        return in_words(duration(text))
    except ValueError:
        return f"one {text}" if text.startswith("calendar") else text


def _utc(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return text


def _in_flight(left: Left) -> str:
    """Touches whose attempt is not known yet: they count as now."""
    n = left.pop("in_flight", 0)
    return f"{n} of them still on their way and counted as now" if n else ""


def _consent(left: Left) -> str:
    """The consent record that was looked at: law packs call it `consent`, with its state; house rules `record`."""
    if "consent" not in left:
        return ""
    first, record = left.pop("consent"), left.pop("record", None)
    state = left.pop("state", None)
    if first is None:
        return "no consent on record"
    if state is None:
        state, first = first, record
    basis = left.pop("basis", None)
    if state == "withdrawn":
        basis = None
    if left.get("expires_at", "") is None:
        del left["expires_at"]
    details = ", ".join(str(part).replace("_", "-") for part in (state, basis) if part)
    return f"consent record {first or 'without a name'} ({details})"


def _asked(left: Left) -> str:
    """The double opt-in that waits for its confirmation."""
    asked, before = left.pop("asked", None), left.pop("confirm_before", None)
    if asked is None:
        return ""
    return f"confirmation asked for {asked}" + (f", to be given before {before}" if before else "")


def _conditions(left: Left) -> str:
    """The conditions under which a customer may be written to unasked, and what each rests on."""
    named = {key.removeprefix("if ").replace("_", " "): left.pop(key) for key in [*left] if key.startswith("if ")}
    met = [f"{name} ({ground})" for name, ground in named.items() if ground]
    missing = [name for name, ground in named.items() if not ground]
    told = [f"met: {', '.join(met)}" if met else "", f"not on record: {', '.join(missing)}" if missing else ""]
    return "; ".join(filter(None, told))


def _registry(left: Left) -> str:
    """The do-not-contact list, and how old it was."""
    if "registry" not in left:
        return ""
    name, on_it, checked = left.pop("registry"), left.pop("listed", None), left.pop("checked_at", None)
    state = f"obtained {checked}" if checked else "never obtained"
    return f"list {name}, {state}" + ("" if on_it is None else ", on it" if on_it else ", not on it")


def _contact(left: Left) -> str:
    """The contact point's health."""
    if "contact" in left and left["contact"] is None:
        del left["contact"]
        return "no contact point"
    if "health" not in left:
        return ""
    health, since, kind = left.pop("health"), left.pop("since", None), left.pop("kind", None)
    text = f"contact point {str(health).replace('_', '-')}" + (f" since {since}" if since else "")
    if kind:
        text += f", kind of address: {str(kind).replace('_', ' ')}"
    n, within = left.pop("soft_bounces", None), left.pop("within", None)
    return text + (f", {n} soft bounces within {within}" if n is not None else "")


def _conversation(left: Left) -> str:
    """Whether the text was approved beforehand, and else how the conversation stood."""
    if "approved" not in left:
        return ""
    if left.pop("approved"):
        return "the text was approved beforehand"
    heard, lasts, until = left.pop("heard", None), left.pop("lasts", None), left.pop("open_until", None)
    wrote = f"the member last wrote at {_utc(str(heard))}" if heard else "the member never wrote"
    end = f", the conversation is open until {_utc(str(until))}" if until else f", a conversation lasts {lasts}"
    return f"the text was not approved beforehand; {wrote}{end}"


def _closed(left: Left) -> str:
    """Windows that the dispatcher found closed."""
    n = left.pop("windows", None)
    if n is None:
        return ""
    return f"{n or 'no'} window{'' if n == 1 else 's'} found closed at hand-over"


def _in_force(left: Left) -> str:
    return "" if left.pop("in_force", True) else "not in force then"


def _unless(left: Left) -> str:
    why = left.pop("unless", None)
    return f"an exception holds: {str(why).replace('_', ' ')}" if why else ""


def _no_reading(left: Left) -> str:
    for key in ("reading", "alt", "confidence"):
        left.pop(key, None)
    return ""


def _reading_of(saw: Saw) -> str:
    """How the law pack reads an open text, and how sure it is of it."""
    reading, other, sure = saw.get("reading"), saw.get("alt"), saw.get("confidence")
    parts = (f"read as: {reading}" if reading else "", f"it might also mean: {other}" if other else "")
    return "; ".join(filter(None, (*parts, f"sources {sure}" if sure else "")))


def _wishes(left: Left) -> str:
    """What the member asked for, and the complaints that are open."""
    parts = []
    if "limit" in left and left.pop("limit") is None:
        parts.append("the member asked for no limit")
    if "paused" in left:
        until = left.pop("paused_until", None)
        end = f" until {_utc(str(until))}" if until else " until further notice"
        parts.append(f"the member asked for a pause{end}" if left.pop("paused") else "the member asked for no pause")
    if "topic" in left:
        topic, declined = left.pop("topic"), left.pop("declined", False)
        named = f"the topic {topic}" if topic else "no topic"
        parts.append(f"the member does without {named}" if declined else f"{named}, which the member may get")
    if "complaints" in left:
        n = left.pop("complaints")
        parts.append(f"{n} complaint{'' if n == 1 else 's'} open" if n else "no complaint open")
    return ", ".join(parts)


_SAYINGS = (
    *(
        _in_force,
        _local,
        _count,
        _gap,
        _in_flight,
        _wishes,
        _consent,
        _asked,
        _conditions,
        _registry,
        _contact,
        _conversation,
        _closed,
    ),
    *(_unless, _no_reading),
)


def _plain(value: str | int | bool | None) -> str:
    return "unknown" if value is None else "yes" if value is True else "no" if value is False else str(value)
