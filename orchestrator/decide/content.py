"""All that deciding reads from files, compiled: one content revision, passed to `step` as an argument."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from msgspec import Struct, field
from msgspec.structs import force_setattr

from orchestrator.decide.asking import Asking
from orchestrator.decide.journey import Holdout, Journey
from orchestrator.decide.panel import Panel
from orchestrator.decide.rules import Rule
from orchestrator.events.catalogue import EventTypes
from orchestrator.render.contract import Templates

# panels kept by one revision: countries, and those of telephone numbers, by channels and journeys
MOST_PANELS = 1_000


class Sender(Struct, frozen=True, kw_only=True):
    """Who a message of a channel comes from."""

    name: str = ""
    address: str = ""
    reply_to: str = ""


class Pool(Struct, frozen=True, kw_only=True):
    """A pool of voucher codes, as the house declares it; the codes themselves are in the store."""

    # an operator hears of it when fewer are left
    low_water: int
    # on which the codes are good, by the member's clock; None: they are good for ever
    last_day: date | None = None
    # so many days, the last one included, a member must have left when the message goes out
    days_left: int = 1


class Identity(Struct, frozen=True, kw_only=True):
    """Who writes to the members, as messages say it."""

    programme: str
    # where links lead, without a slash at its end
    site: str
    # in one line; "" where none is given
    postal_address: str


class Policies(Protocol):
    """The house's own rules."""

    def rules_for(self, channel: str, purpose: str, journey: str) -> tuple[Rule, ...]:
        """Every house rule that such a contact is asked, in a stable order."""

    def refusals_for(self, channel: str, purpose: str, journey: str) -> tuple[Rule, ...]:
        """Every rule on what becomes of a message that this channel's provider refused."""

    def hours_for(self, channel: str, purpose: str, journey: str) -> tuple[Rule, ...]:
        """Those of them that may name the end of permitted hours."""

    def sender(self, channel: str, at: datetime) -> Sender:
        """Who messages of this channel come from at an instant."""

    def rank(self, purpose: str, at: datetime) -> int:
        """Priority at dispatch; lower is sooner."""

    def release_spread(self, channel: str, at: datetime) -> timedelta:
        """Over how long releases at the opening of hours are spread."""

    def precedence(self, journey: str, at: datetime) -> int:
        """Which journey goes first where several want a member at the same moment; lower is sooner."""

    def channel_order(self, at: datetime) -> tuple[str, ...]:
        """The channels from the least intrusive to the most."""

    def latency_margin(self, channel: str, at: datetime) -> timedelta:
        """How long before permitted hours end a call must be made."""

    def confirm_within(self, channel: str, purpose: str, at: datetime) -> timedelta:
        """How long a double opt-in may take; confirmed so long after it was asked for, it is too late."""

    def conversation(self, channel: str, purpose: str, at: datetime) -> timedelta:
        """How long after the member's own message free texts may be written on a channel; none where nothing binds."""

    def asking(self, at: datetime) -> Asking:
        """What the house would like to know of its members at an instant."""

    @property
    def longest_window(self) -> timedelta:
        """How far back any house rule looks."""


class Laws(Protocol):
    """The compiled law packs."""

    def rules_for(self, jurisdictions: tuple[str, ...], channel: str, purpose: str) -> tuple[Rule, ...]:
        """Every rule of law that such a contact is asked."""

    def hours_for(self, jurisdictions: tuple[str, ...], channel: str, purpose: str) -> tuple[Rule, ...]:
        """Those of them that may name the end of permitted hours."""

    def registries_for(self, jurisdictions: tuple[str, ...], channel: str, purpose: str) -> tuple[str, ...]:
        """Names of the do-not-contact lists these rules read."""

    def names(self, jurisdictions: tuple[str, ...]) -> tuple[str, ...]:
        """The packs asked, as `US-NY@2026.11.0`."""

    def jurisdictions_of(self, country: str, region: str, phone_countries: tuple[str, ...]) -> tuple[str, ...]:
        """Whose packs apply: residence, and a number's country where it differs."""


class Content(Struct, frozen=True, kw_only=True):
    """One content revision."""

    # hash over all files, engine version and tables
    revision: str
    # what members' events may be
    events: EventTypes
    journeys: Mapping[str, Journey]
    # journey -> hash over all that makes it what it is: what an approval is of
    versions: Mapping[str, str]
    policies: Policies
    laws: Laws
    templates: Templates
    # mail domains that anybody gets an address at, to throw it away
    disposable: frozenset[str]
    # IANA name -> zone; unknown names are absent
    zones: Mapping[str, ZoneInfo]
    # alpha-2 country -> its zones
    country_zones: Mapping[str, tuple[str, ...]]
    identity: Identity
    locale: str
    public_url: str
    # places older than this are forgotten
    keep_places: timedelta
    # pools of voucher codes, by name
    pools: Mapping[str, Pool] = field(default_factory=dict)
    # members whom marketing leaves out altogether, for comparison
    holdout: Holdout | None = None
    # event type -> journeys it starts
    started_by: Mapping[str, tuple[Journey, ...]] = field(default_factory=dict)
    # event type -> journeys started by silence after it
    silent_after: Mapping[str, tuple[Journey, ...]] = field(default_factory=dict)
    # event type -> journeys started by a figure of it
    crossed_by: Mapping[str, tuple[Journey, ...]] = field(default_factory=dict)
    # journeys started by the calendar, and by coming to belong to an audience or leaving it
    planned: tuple[Journey, ...] = ()
    grouped: tuple[Journey, ...] = ()
    # panels made before, by jurisdictions, channel, purpose and journey
    panels: dict[tuple[tuple[str, ...], str, str, str], Panel] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """A copy with a difference makes its own panels; which journeys start by what follows from the journeys."""
        force_setattr(self, "panels", {})
        force_setattr(self, "started_by", self._by_event("event"))
        force_setattr(self, "silent_after", self._by_event("inactivity"))
        force_setattr(self, "crossed_by", self._by_event("threshold"))
        force_setattr(self, "planned", self._of("date", "schedule"))
        force_setattr(self, "grouped", self._of("enters", "leaves"))

    def _of(self, *kinds: str) -> tuple[Journey, ...]:
        return tuple(journey for journey in self.journeys.values() if journey.trigger.kind in kinds)

    def _by_event(self, kind: str) -> dict[str, tuple[Journey, ...]]:
        table: dict[str, tuple[Journey, ...]] = {}
        for journey in self._of(kind):
            table[journey.trigger.event] = (*table.get(journey.trigger.event, ()), journey)
        return table

    def panel(self, jurisdictions: tuple[str, ...], channel: str, purpose: str, journey: str) -> Panel:
        """All rules that such a contact is asked: the house's own, then those of the law."""
        key = (jurisdictions, channel, purpose, journey)
        panel = self.panels.get(key)
        if panel is None:
            if len(self.panels) >= MOST_PANELS:
                self.panels.clear()
            house = self.policies.rules_for(channel, purpose, journey)
            panel = self.panels[key] = Panel(house + self.laws.rules_for(jurisdictions, channel, purpose))
        return panel
