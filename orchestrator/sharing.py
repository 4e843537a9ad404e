"""Contact points that several members have: whose touches a turn must be given, and what makes the giving hold.

A member's own record knows which of their contact points others have too, so that whoever shares nothing asks nothing.
What keeps the caps of a shared one is decided at the end of a batch, whatever a record knows by then:

1. The batch locks each contact point that it reserved touches for, or that a member came to, in the order of
   fingerprints. So of two batches that reach or join the same one, the second sees all that the first left.
2. Where it turns out that others hold such a point and a turn was not given their touches, or was given others than
   those that now stand, all turns are taken anew, with what is now known: nothing of them was written.
3. A lock that would break the order is never waited for: the batch ends, leaving nothing, and begins anew with all
   that it asked for locked at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

from orchestrator.decide.content import Content
from orchestrator.decide.member import Place
from orchestrator.decide.result import Reservation
from orchestrator.stores.contract import Batch, HolderRow, Reached
from orchestrator.times import instant


class Wanted(NamedTuple):
    """Contact points that a batch must lock before it writes."""

    # contact point -> the first of the batch to come to it
    joined: dict[str, HolderRow]
    reserved: frozenset[str]

    def all(self) -> set[str]:
        """The fingerprints."""
        return {*self.joined, *self.reserved}


NOTHING = Wanted({}, frozenset())


class Points:
    """What one transaction knows of contact points."""

    def __init__(self, tx: Batch, since: int, wanted: Wanted = NOTHING) -> None:
        """`since`: no rule looks farther back. What is `wanted` is locked at once."""
        self._tx, self._since = tx, since
        # contact point -> who holds it: of those that are locked
        self.holders: dict[str, list[HolderRow]] = {}
        # those that others hold beside a member who did not know
        self.shared: set[str] = set()
        self._reached: dict[str, list[Reached]] = {}
        # read before they were locked
        self._early: set[str] = set()
        if wanted.all():
            self._hold(wanted, wanted.all())

    def reached(self, contact: str) -> list[Reached]:
        """The touches to a contact point, as the store has them."""
        if contact not in self._reached:
            self.look_up([contact])
        return self._reached[contact]

    def look_up(self, contacts: Iterable[str]) -> None:
        """Reads the touches to these, where they were not read yet."""
        asked = [contact for contact in contacts if contact not in self._reached]
        if asked:
            self._reached |= self._read(asked)
            self._early.update(contact for contact in asked if contact not in self.holders)

    def lock(self, wanted: Wanted) -> bool:
        """Locks what is wanted and not locked yet; False where that would break the order."""
        new = wanted.all() - self.holders.keys()
        if new and self.holders and min(new) < max(self.holders):
            return False
        if new:
            self._hold(wanted, new)
        return True

    def moved(self, contacts: Iterable[str]) -> bool:
        """Whether the touches to any of these are others than those read before it was locked; they are known now."""
        early = [contact for contact in contacts if contact in self._early]
        now = self._read(early) if early else {}
        moved = any(rows != self._reached[contact] for contact, rows in now.items())
        self._reached |= now
        self._early.difference_update(early)
        return moved

    def _read(self, contacts: Sequence[str]) -> dict[str, list[Reached]]:
        found: dict[str, list[Reached]] = {contact: [] for contact in contacts}
        for row in self._tx.reached(contacts, self._since):
            found[row.contact].append(row)
        return found

    def _hold(self, wanted: Wanted, new: set[str]) -> None:
        joined = [row for contact, row in sorted(wanted.joined.items()) if contact in new]
        held = self._tx.hold(joined, sorted(new - wanted.joined.keys()))
        self.holders |= {contact: held.get(contact, []) for contact in new}


class Sharing:
    """The contact points of one batch's turns."""

    def __init__(self, points: Points, content: Content) -> None:
        self._points, self._content = points, content
        # contact point -> who came to it in this batch, in order
        self._came: dict[str, list[HolderRow]] = {}
        # (contact point, member) for whom a turn was given others' touches
        self._aware: set[tuple[str, bytes]] = set()
        # those who came there, or for whom a touch was reserved there, before a turn of theirs was given any
        self._unaware: set[tuple[str, bytes]] = set()
        # touches that the batch reserved and cancelled
        self._reserved: dict[str, dict[str, tuple[bytes, Reservation]]] = {}
        self._at: dict[str, str] = {}
        self._cancelled: set[str] = set()

    def look_up(self, contacts: Iterable[str]) -> None:
        """Reads at once what turns will ask for one by one."""
        self._points.look_up(contacts)

    @property
    def any(self) -> bool:
        """Whether a turn may have to be told of others whom its member's record does not know of."""
        return bool(self._came or self._points.shared)

    def has_others(self, contact: str, member: bytes) -> bool:
        """Whether others than the member are known to have a contact point, beside what the member's record knows."""
        return any(row.member != member for row in self._held(contact))

    def touches(self, contact: str, member: bytes, aliases: Collection[bytes] = ()) -> tuple[Place, ...]:
        """The touches of others to a contact point, as they stand after the turns so far.

        Those of the member's `aliases` are the member's own.
        """
        self._aware.add((contact, member))
        own = {member, *aliases}
        rows = [
            row
            for row in self._points.reached(contact)
            if row.member not in own and row.touch_id not in self._cancelled
        ]
        places = {row.touch_id: self._place(row, None if row.at == 0 else row.at) for row in rows}
        for whose, made in self._reserved.get(contact, {}).values():
            if whose not in own:
                places[made.touch_id] = self._place(made, None)
        return tuple(places.values())

    def join(self, contact: str, member: bytes, partition: int) -> list[HolderRow]:
        """A member came to a contact point; who is to be told that it is shared from now on."""
        self._concerns(contact, member)
        others = [row for row in self._held(contact) if row.member != member]
        came = self._came.setdefault(contact, [])
        if all(row.member != member for row in came):
            came.append(HolderRow(contact, 0, member, partition))
        # the second tells the first; later ones are no news
        return others if len(others) == 1 else []

    def reserve(self, member: bytes, reservation: Reservation) -> None:
        """The batch reserved a touch."""
        touch, contact = reservation.touch_id, reservation.contact
        self._concerns(contact, member)
        self._reserved.setdefault(contact, {})[touch] = (member, reservation)
        self._at[touch] = contact
        self._cancelled.discard(touch)

    def cancel(self, touch: str) -> None:
        """The batch cancelled a touch: its place is free."""
        self._cancelled.add(touch)
        if touch in self._at:
            del self._reserved[self._at.pop(touch)][touch]

    # --- at the end of the batch

    @property
    def wanted(self) -> Wanted:
        """What must be locked."""
        firsts = {contact: came[0] for contact, came in self._came.items()}
        return Wanted(firsts, frozenset(contact for contact, made in self._reserved.items() if made))

    def stands(self) -> bool:
        """Whether all turns knew what they had to, once all that is wanted is locked; if not, it is known now."""
        # what was cancelled in the batch itself needs no lock, and takes no place
        shared = {
            contact
            for contact, member in self._unaware
            if any(row.member != member for row in self._points.holders.get(contact, ()))
        }
        unknown = shared - self._points.shared
        self._points.shared |= shared
        moved = self._points.moved(contact for contact, made in self._reserved.items() if made)
        return not unknown and not moved

    def rows(self) -> Iterator[HolderRow]:
        """Those who came to contact points that others held."""
        for contact, came in self._came.items():
            known = self._points.holders[contact]
            new = [row for row in came if all(row.member != held.member for held in known)]
            for n, row in zip(count(len(known)), new):
                yield row._replace(n=n)

    def _concerns(self, contact: str, member: bytes) -> None:
        if (contact, member) not in self._aware:
            self._unaware.add((contact, member))

    def _held(self, contact: str) -> list[HolderRow]:
        known = self._points.holders[contact] if contact in self._points.shared else []
        return list({row.member: row for row in (*known, *self._came.get(contact, ()))}.values())

    def _place(self, row: Reached | Reservation, at: int | None) -> Place:
        return Place(
            touch_id=row.touch_id,
            channel=row.channel,
            purpose=row.purpose,
            journey=row.journey,
            contact=row.contact,
            at=None if at is None else instant(at),
            # the outbox does not know; as it stands now
            category="" if (journey := self._content.journeys.get(row.journey)) is None else journey.category,
        )
