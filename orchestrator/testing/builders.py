"""Short ways to say what happened, for tests, cases and simulations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zlib import crc32

import msgspec

from orchestrator.decide.content import Identity
from orchestrator.events.catalogue import ENGINE, EventTypes
from orchestrator.events.envelope import Event, write_event

# who writes, in tests
CLUB = Identity(programme="Club", site="https://example.com", postal_address="2 Example Road, Example Town")


def event(
    type: str,
    subject: str,
    time: datetime | str,
    data: Mapping[str, object] | None = None,
    *,
    id: str = "",
    source: str = "test",
    history: bool = False,
    types: EventTypes = ENGINE,
) -> Event:
    """A valid event; `id` is made from type, subject and time where left out. Raises msgspec.ValidationError."""
    at = datetime.fromisoformat(time) if isinstance(time, str) else time
    return Event(
        id=id or f"{type}/{subject}/{at.isoformat()}",
        source=source,
        type=type,
        subject=subject,
        time=at,
        data=msgspec.convert(dict(data or {}), types.kinds[type], strict=False),
        history=history,
    )


def line(*args: object, **more: object) -> bytes:
    """The CloudEvents line of `event(...)`."""
    return write_event(event(*args, **more))  # type: ignore[arg-type]  # the same arguments


def enrolled(
    subject: str,
    time: datetime | str,
    *,
    channels: tuple[str, ...] = ("email", "sms"),
    consents: tuple[str, ...] = ("email", "sms"),
    **profile: object,
) -> Event:
    """A member who joins with contact points and consents on these channels; New York unless the profile differs.

    Few of them happen to have the same number.
    """
    addresses = {"email": f"{subject}@example.com", "sms": f"+1212555{crc32(subject.encode()) % 10_000:04d}"}
    data: dict[str, object] = {"country": "US", "region": "US-NY", "zone": "America/New_York", "locale": "en"}
    data |= profile
    data["contact_points"] = [{"channel": channel, "address": addresses[channel]} for channel in channels]
    data["consents"] = [
        {"channel": channel, "purpose": "marketing", "wording": "w1", "method": "form", "evidence": "form 1"}
        for channel in consents
    ]
    return event("member.enrolled", subject, time, data)


def purchase(subject: str, time: datetime | str, amount: int = 2_500, id: str = "") -> Event:
    """A purchase of `amount` cents."""
    at = time if isinstance(time, str) else time.isoformat()
    data = {"purchase_id": id or f"{subject}-{at}", "amount": amount, "currency": "USD"}
    return event("purchase.completed", subject, time, data, id=f"purchase/{id}" if id else "")


class PlainLinks:
    """Tokens that anybody could make: for turns whose links nobody opens."""

    def opt_out(self, member_id: str, channel: str, purpose: str) -> str:
        """Says what it ends."""
        return f"{member_id}-{channel}-{purpose}"

    def preferences(self, member_id: str, at: datetime) -> str:
        """Says whose, and since when."""
        return f"{member_id}-{at.date()}"

    def confirm(self, member_id: str, channel: str, purpose: str, asked_at: datetime, until: datetime) -> str:
        """Says what it confirms."""
        return f"{member_id}-{channel}-{purpose}-{asked_at.isoformat()}-{until.isoformat()}"

    def contact(self, member_id: str, channel: str, asked_at: datetime, until: datetime) -> str:
        """Says what it confirms."""
        return f"{member_id}-{channel}-{asked_at.isoformat()}-{until.isoformat()}"
