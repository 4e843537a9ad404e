"""The project of a chaos run: six journeys, a pool of voucher codes, two accounts for e-mail, and tight policies.

Caps are of seconds, and quiet hours close while it runs. Quiet hours are told in minutes, a run can't wait for one: the
latency margin is what is missing to the next, so that calls must end at the very moment that the run wants.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from orchestrator import starter
from tests.chaos.plan import ACCOUNTS, Pace, caps

PARTITIONS = 8
# members of group a live here, those of group b where the quiet hours are six hours away
ZONES = {"a": "Etc/UTC", "b": "Etc/GMT+6"}
MINUTE_US = 60_000_000

GREETING = """\
journey: greeting
purpose: service
trigger: {{event: member.enrolled}}
reentry: each
exit: [member.cancelled]
steps:
  - send: hello
    channels: [email, sms]
    valid_for: PT{service}S
  - wait: PT{wait}S
  - send: tips
    channels: [email]
    valid_for: PT{service}S
"""
THANKS = """\
journey: thanks
purpose: marketing
trigger: {{event: purchase.completed, where: "event.amount >= 500"}}
reentry: each
steps:
  - send: thanks
    channels: [email, sms]
    valid_for: PT{marketing}S
"""
# some big purchases bring a voucher code
GIFT = """\
journey: gift
purpose: marketing
trigger: {{event: purchase.completed, where: "event.amount > 500 and event.amount % 4 == 0"}}
reentry: each
steps:
  - send: gift
    channels: [email, sms]
    valid_for: PT{marketing}S
    voucher: gifts
"""
POOL = "gifts"
POOLS = "pools: {gifts: {low_water: 5}}\n"
# two or three big purchases in one letter, one way or the other; a tenth is left out for comparison
DIGEST = """\
journey: digest
purpose: marketing
trigger: {{event: purchase.completed, where: "event.amount > 500"}}
at_once: 1
holdout: {{share: 10}}
exit: [member.cancelled]
steps:
  - gather: {{within: PT{wait}S, most: 3}}
  - split:
      long:
        share: 2
        steps:
          - send: list
            channels: [sms, email]
            valid_for: PT{marketing}S
      short:
        share: 1
        steps:
          - branch: gathered|length > 1
            then:
              - send: brief
                channels: [email]
                valid_for: PT{marketing}S
                on_refusal: drop
            else: [{{tag: quiet}}]
"""
# who complains and buys nothing for a while is asked what is wrong
CARE = """\
journey: care
purpose: service
trigger: {{event: complaint.opened}}
key: complaint_id
steps:
  - until: {{event: purchase.completed, within: PT{wait}S}}
    then: [{{tag: won-back}}]
    else:
      - send: sorry
        channels: [sms, email]
        valid_for: PT{service}S
"""
# every third purchase is told of
REGULAR = """\
journey: regular
purpose: service
trigger: {{figure: purchase.completed, of: count, each: 3}}
reentry: each
steps:
  - send: third
    channels: [email, sms]
    valid_for: PT{service}S
"""
# journey, its file, its messages with the channels that they have words for
JOURNEYS = (
    ("greeting", GREETING, {"hello": "email sms", "tips": "email"}),
    ("thanks", THANKS, {"thanks": "email sms"}),
    ("gift", GIFT, {"gift": "email sms"}),
    ("digest", DIGEST, {"list": "email sms", "brief": "email"}),
    ("care", CARE, {"sorry": "email sms"}),
    ("regular", REGULAR, {"third": "email sms"}),
)
MJML = "<mj-section><mj-column><mj-text>Thank you, {{ member.given_name }}%s</mj-text></mj-column></mj-section>\n"
# how a message shows its code: the provider reads it there
SHOWN = {"gift": " [{{ voucher.code }}]"}
PROMISING = ("gift",)
LAYOUT = """\
<mjml><mj-body>
{# content #}
<mj-section><mj-column><mj-text>{{ unsubscribe_url }}</mj-text></mj-column></mj-section>
</mj-body></mjml>
"""
UNITS = "seconds of elapsed time; hours are those of the member's own clock"
WHY = "a chaos run is short, so that its policies must be as well"


class Hours(NamedTuple):
    """The quiet hours of a run, for members of group a: half-open, microseconds since 1970."""

    # nobody is called from here on, a latency margin before the quiet minute begins
    start: int
    quiet: int

    @property
    def end(self) -> int:
        return self.quiet + MINUTE_US

    @property
    def margin_s(self) -> int:
        return (self.quiet - self.start) // 1_000_000


def hours_from(close: float) -> Hours:
    """The hours that close at this time (seconds since 1970, rounded)."""
    start = round(close) * 1_000_000
    return Hours(start, -(-start // MINUTE_US) * MINUTE_US)


def make_project(folder: Path, store_url: str, bootstrap: str, pace: Pace) -> None:
    """Writes the project but for its policies; its folder must not exist."""
    starter.create(folder)
    for name in ("templates", "channel_policies"):
        for path in (folder / name).iterdir():
            if path.name != "laws":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (folder / "channel_policies" / "laws").iterdir():
        if path.is_dir() and path.name != "_default":
            shutil.rmtree(path)
    _templates(folder / "templates", pace)
    (folder / "orchestrator.toml").write_text(_settings(store_url, bootstrap, pace), encoding="utf-8")


def _settings(store_url: str, bootstrap: str, pace: Pace) -> str:
    return f"""\
programme = "Chaos"
[store]
url = "{store_url}"
partitions = {PARTITIONS}
[dispatch]
adapters = {{ email = {json.dumps(ACCOUNTS["email"])}, sms = "capture" }}
lease_s = {pace.lease_s}
smtp = {{ timeout_s = 2 }}
[kafka]
bootstrap = "{bootstrap}"
session_timeout_s = {pace.session_s}
replication = 1
{_accounts()}"""


def _accounts() -> str:
    """What is refused eight times in a row is left alone, for moments."""
    bounds = 'adapter = "capture"\nfailures = 8\nfailure_window_s = 20\nrest_s = 3\n'
    return "".join(f"[dispatch.accounts.{name}]\n{bounds}" for names in ACCOUNTS.values() for name in names)


def _templates(folder: Path, pace: Pace) -> None:
    lengths = {"marketing": pace.valid_for_s, "service": pace.valid_for_s * 3 // 2, "wait": pace.wait_s}
    layout = folder / "_layout"
    layout.mkdir(parents=True)
    (folder / "vouchers.yaml").write_text(POOLS, encoding="utf-8")
    (layout / "email.en.mjml.j2").write_text(LAYOUT, encoding="utf-8")
    (layout / "email.en.txt.j2").write_text("{# content #}\n{{ unsubscribe_url }}\n", encoding="utf-8")
    for journey, text, messages in JOURNEYS:
        own = folder / journey
        own.mkdir()
        (own / "journey.yaml").write_text(text.format(**lengths), encoding="utf-8")
        for message, channels in messages.items():
            code = SHOWN.get(message, "")
            (own / f"{message}.email.en.mjml.j2").write_text(MJML % code, encoding="utf-8")
            words = f"Subject: {message}\n\n{message}, {{{{ member.given_name }}}}{code}\n"
            (own / f"{message}.email.en.txt.j2").write_text(words, encoding="utf-8")
            if "sms" in channels:
                (own / f"{message}.sms.en.txt.j2").write_text(f"{message}!{code}\n", encoding="utf-8")


def write_policies(project: Path, pace: Pace, hours: Hours) -> None:
    """Writes the policies of a project."""
    folder = project / "channel_policies"
    begins, ends = (datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%H:%M") for at in (hours.quiet, hours.end))
    # a window that ends at midnight is written 24:00
    closed = {"mon-sun": [f"{begins}-{'24:00' if ends == '00:00' else ends}"]}
    margin = f"PT{hours.margin_s}S"
    of = {cap["id"]: cap for cap in caps(pace)}
    for channel, sender in (("email", "chaos@example.com"), ("sms", "CHAOS")):
        entry = {
            "sender": {"address": sender},
            "latency_margin": margin,
            "consent": {"consent": {"required": True, "why": WHY}},
            "quiet_hours": {"night": {"closed": closed, "why": WHY}},
            "caps": {"window": _cap(of[channel], None)},
        }
        _write(folder / f"{channel}.yaml", channel, entry)
    house = {
        "rank": {"service": 10, "collections": 20, "marketing": 50},
        "channel_order": ["email", "sms"],
        "latency_margin": margin,
        "membership": {"membership": {"stops": ["marketing"], "why": WHY}},
        "contact_points": {"contact-point": {"soft_bounced_pause": "P3D", "why": WHY}},
        "caps": {"window": _cap(of["house"], "all")},
    }
    _write(folder / "house.yaml", "house", house)


def _cap(cap: dict[str, object], over: str | None) -> dict[str, object]:
    words = {"max": cap["max"], "window": f"rolling PT{cap['window_s']}S", "why": WHY}
    return words | ({"over": over} if over else {})


def _write(path: Path, channel: str, entry: Mapping[str, object]) -> None:
    """JSON is YAML too, but for the date, which YAML reads as one only unquoted."""
    words = {"channel": channel, "units": UNITS, "entries": [{"effective": "2000-01-01", "why": WHY, **entry}]}
    path.write_text(json.dumps(words, indent=1).replace('"2000-01-01"', "2000-01-01"), encoding="utf-8")
