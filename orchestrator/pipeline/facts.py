"""What a batch knows of the store: read at once for all that its turns are known to ask, and later what they ask more.

Members, seen identities and quarantines change with the turns of the batch; what is read later does not undo that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import msgspec

from orchestrator.decide.member import Member
from orchestrator.decide.rules import RegistryState
from orchestrator.decide.shared import NOTHING, Needs, Shared
from orchestrator.decide.step import registries_of
from orchestrator.dispatch.outage import outages
from orchestrator.pipeline.basis import Asked, Basis
from orchestrator.pipeline.known import Former, Known
from orchestrator.pipeline.records import Given, read_outages
from orchestrator.pipeline.rows import DUE_LIMIT, Due
from orchestrator.pipeline.written import Covered
from orchestrator.sharing import Sharing
from orchestrator.stores.contract import Batch, Expected, SuppressionRow
from orchestrator.stores.outbox import STOPPED
from orchestrator.times import instant, micros
from orchestrator.vault import Sealer

_read_member = msgspec.json.Decoder(Member).decode


class Facts:
    """One batch's."""

    def __init__(
        self, basis: Basis, tx: Batch, former: Former, sharing: Sharing, standing: Mapping[Covered, SuppressionRow]
    ) -> None:
        """`standing`: suppressions that stood before the batch, as far as it had to ask."""
        self._basis, self._tx, self._former, self._sharing = basis, tx, former, sharing
        self.standing = standing
        self.members: dict[bytes, Known] = {}
        # identity -> what was said under it
        self.seen: dict[bytes, bytes] = {}
        self.quarantined: set[bytes] = set()
        # touch id -> state, of those this batch reserved or cancelled
        self.moved: dict[str, str] = {}
        # touch id -> state in the outbox as this batch found it; "": none
        self._touches: dict[str, str] = {}
        self._registries: dict[tuple[str, str], RegistryState | None] = {}
        # journeys
        self._paused: frozenset[str] = frozenset()
        self._stopped: frozenset[str] = frozenset()
        # reference -> sealer, of aliases that sent something on
        self._sealers: dict[str, Sealer] = {}

    # --- at once

    def expect(self, asked: Asked, latest: Mapping[int, int]) -> Expected:
        """Tells the store what `read` will ask of it, as far as the arrivals say, and `read_due` before."""
        arrived = asked.arrived()
        clocks = [progress.clock for progress in asked.held.values()]
        first = min([*latest.values(), *clocks, *[arrival.at for _, arrival in arrived]], default=0)
        last = max([*latest.values(), *clocks], default=0)
        members = {arrival.member: partition for partition, arrival in arrived}
        coming = Expected(
            latest,
            DUE_LIMIT,
            self._buckets(first, last),
            [arrival.identity for _, arrival in arrived],
            [(partition, key) for key, partition in members.items() if self._known(key) is None],
        )
        self._tx.expect(coming)
        return coming

    def read(self, asked: Asked, due: Due, coming: Expected) -> None:
        """Reads at once what the turns will ask for one by one.

        After the inbox: whoever finds an order to go on finds no switch any more.
        """
        self._read_switches()
        wanted: dict[bytes, int] = {
            row.member: row.partition for rows in due.rows.values() for row in rows if row.member
        }
        wanted |= {arrival.member: partition for partition, arrival in asked.arrived()}
        if coming.identities:
            self.seen = self._tx.seen(coming.buckets, coming.identities)
        self.load(wanted)
        if wanted:
            self.quarantined = self._tx.quarantined(wanted)
        self._read_of(
            [each for key in wanted if key in self.members and (each := self.members[key].member) is not None]
        )

    def _read_switches(self) -> None:
        scopes = {row.scope for row in self._tx.switches()}
        if scopes:
            journeys = self._basis.content.journeys
            self._stopped = frozenset(name for name in journeys if f"{STOPPED}:{name}" in scopes)
            self._paused = frozenset(name for name in journeys if f"journey:{name}" in scopes) - self._stopped

    def _read_of(self, members: list[Member]) -> None:
        """What turns of these members are known to ask."""
        self._sharing.look_up(
            {
                point.fingerprint: None
                for member in members
                if member.shared
                for point in member.contact_points
                if point.fingerprint in member.shared
            }
        )
        self._look_up(
            frozenset().union(*[registries_of(member, self._basis.content) for member in members]),
            [intent.touch_id for member in members for intent in member.pending.values()],
        )

    def _buckets(self, first: int, last: int) -> range:
        """Where identities stand that came within the horizon before `first`, or later up to `last`."""
        oldest, size = first - self._basis.horizon, self._basis.bucket
        return range(max(oldest, 0) // size, last // size + 1)

    # --- later

    def look_for(self, identity: bytes, parked_at: int, now: int) -> None:
        """Reads whether an event of this identity came while the one that was parked then could be its duplicate."""
        self.seen = self._tx.seen(self._buckets(parked_at, now), [identity]) | self.seen

    def load(self, wanted: Mapping[bytes, int]) -> None:
        """Sees to it that these members are known, each of its partition; those that there are not are left out."""
        former, absent = self._former.members, []
        for key, partition in wanted.items():
            known = self._known(key)
            if known is not None:
                self.members[key] = known
            else:
                absent.append((partition, key))
        if not absent:
            return
        rows = self._tx.members(absent)
        wrapped = self._tx.keys([row.ref for row in rows.values() if not row.erased])
        for key, row in rows.items():
            if row.erased:
                self.members[key] = Known(None, row.ref, None, erased=True)
                continue
            sealer = self._basis.vault.sealer(row.ref, wrapped[row.ref])
            self.members[key] = former[key] = Known(_read_member(sealer.open(row.state)), row.ref, sealer)

    def _known(self, member: bytes) -> Known | None:
        """A member as this process has them, without a question to the store."""
        return self._basis.cache.get(member) or self._former.members.get(member)

    def alias(self, member: bytes) -> str:
        """Whom a member is an alias of; "": of nobody."""
        known = self.members.get(member)
        return "" if known is None or known.member is None else known.member.merged_into

    def sealer(self, ref: str) -> Sealer | None:
        """What opens what an alias sent on, of whichever partition; None where the store has no key any more."""
        if ref not in self._sealers:
            wrapped = self._tx.keys([ref]).get(ref)
            if wrapped is not None:
                self._sealers[ref] = self._basis.vault.sealer(ref, wrapped)
        return self._sealers.get(ref)

    def keep_sealer(self, ref: str, sealer: Sealer) -> None:
        """An alias of this batch sends something on; its key may not be in the store yet."""
        self._sealers[ref] = sealer

    # --- for a turn

    def given(self, member: bytes, wants: Needs, shared: Shared) -> tuple[Shared, Given | None]:
        """What `step` must be given for this turn, read under the batch's lock."""
        unapproved = self._basis.unapproved
        switched = bool(self._paused or self._stopped or unapproved)
        if wants is NOTHING and not switched:
            return shared, None
        self._look_up(wants.registries, [touch for touch in wants.touches if touch not in self.moved])
        registries = {key: state for key in wants.registries if (state := self._registries[key]) is not None}
        touches = {
            touch: stands for touch in wants.touches if (stands := self.moved.get(touch) or self._touches[touch])
        }
        standing = self._outages if wants.outages else {}
        aliases = self._aliases(member) if wants.points else frozenset()
        points = {contact: self._sharing.touches(contact, member, aliases) for contact in sorted(wants.points)}
        if not registries and not touches and not points and not switched:
            return shared, None
        journaled = Given(
            registries={
                f"{name}/{contact}": (state.listed, None if state.checked_at is None else micros(state.checked_at))
                for (name, contact), state in sorted(registries.items())
            },
            touches=dict(sorted(touches.items())),
            paused=tuple(sorted(self._paused)),
            stopped=tuple(sorted(self._stopped)),
            unapproved=tuple(sorted(unapproved)),
            outages=dict(sorted(standing.items())),
            points=points,
        )
        told = msgspec.structs.replace(
            shared,
            registries=registries,
            touches=touches,
            paused=self._paused,
            stopped=self._stopped,
            unapproved=unapproved,
            outages=read_outages(standing),
            points=points,
        )
        return told, journaled

    def _look_up(self, registries: Iterable[tuple[str, str]], touches: Iterable[str]) -> None:
        """Reads of the store what this batch has not read yet."""
        listed = [key for key in registries if key not in self._registries]
        if listed:
            rows = self._tx.registry(listed)
            for key in listed:
                row = rows.get(key)
                self._registries[key] = None if row is None else RegistryState(row[0], instant(row[1]))
        reserved = [touch for touch in touches if touch and touch not in self._touches]
        if reserved:
            states = self._tx.touch_states(reserved)
            for touch in reserved:
                self._touches[touch] = states.get(touch, "")

    def _aliases(self, member: bytes) -> frozenset[bytes]:
        """Whose touches are the member's own by now."""
        known = self.members.get(member)
        absorbed = known.member.absorbed if known is not None and known.member is not None else ()
        return frozenset([self._basis.vault.member(alias) for alias in absorbed])

    @cached_property
    def _outages(self) -> dict[str, tuple[int, int]]:
        """channel -> [since, until) of its last outage; read once, beside the batch."""
        return {channel: (each.since, each.until) for channel, each in outages(self._basis.store).items()}
