"""An e-mail campaign for real: members join, the shipped welcome is decided, rendered and sent to SMTP sinks.

The stage: Kafka, PostgreSQL (durable) and the sinks; worker processes in whatever roles. The message is the shipped
one: two parts, HTML of some ten kilobytes with the member's name and opt-out link in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString, NamedTuple

import psycopg

from orchestrator.events.envelope import Event
from orchestrator.testing.builders import enrolled
from tests.kafka.workers import Running, Town, until, where_it_is_noon
from tests.servers import Kafka, Postgres

PARTITIONS = 16
ADAPTERS = ("smtp", "sendgrid", "twilio", "whatsapp", "telegram")
DONE = ("accepted", "rejected", "unknown", "cancelled")


class Relay(NamedTuple):
    """An account of the project: the sink on this port."""

    name: str
    port: int
    # 0: no bound
    per_second: float = 0
    connections: int = 100
    timeout_s: float = 5.0
    # further lines of the account
    bounds: tuple[str, ...] = ()


class Touch(NamedTuple):
    """A touch as the outbox has it."""

    touch_id: str
    # sealed, but the same for the same member
    member: str
    journey: str
    state: str
    attempts: int
    # the account of the last attempt
    account: str


class Campaign(Town):
    """A project of the shipped content that sends e-mail through sinks."""

    def __init__(
        self,
        folder: Path,
        kafka: Kafka,
        postgres: Postgres,
        relays: Sequence[Relay],
        *,
        partitions: int = PARTITIONS,
        dispatch: Iterable[str] = ("lease_s = 20.0",),
        journeys: Sequence[str] | None = None,
    ) -> None:
        """On a fresh database; `relays` in the order in which they are tried, `dispatch` more lines of [dispatch],
        `journeys` as a Town's."""
        self.postgres, self.database = postgres, postgres.fresh_database()
        lines = [*dispatch, f"adapters = {{email = {[relay.name for relay in relays]}}}"]
        # of no account here, but compared with the lease all the same
        lines += [f"{adapter} = {{timeout_s = {relays[0].timeout_s}}}" for adapter in ADAPTERS]
        for relay in relays:
            lines += [
                f"[dispatch.accounts.{relay.name}]",
                'adapter = "smtp"',
                f"per_second = {relay.per_second}",
                *relay.bounds,
                (
                    f'smtp = {{host = "127.0.0.1", port = {relay.port}, security = "none", '
                    f"timeout_s = {relay.timeout_s}, connections = {relay.connections}}}"
                ),
            ]
        super().__init__(folder, kafka, self.database, partitions, dispatch=lines, journeys=journeys)
        # opened here, so that its tables are there
        _ = self.store
        self._asking = psycopg.connect(self.database, autocommit=True)

    def join(self, members: Iterable[str]) -> None:
        """They join now, where it is noon, and want e-mail."""
        self.send(joined(members))

    def ask(self, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the store."""
        return self._asking.execute(query, values).fetchall()

    def states(self) -> Counter[str]:
        """Touches by state."""
        return Counter(dict(self.ask("SELECT state, count(*) FROM touches GROUP BY state")))

    def touches(self) -> list[Touch]:
        """All of them."""
        found = self.ask("SELECT touch_id, encode(member, 'hex'), journey, state, attempts, account FROM touches")
        return [Touch(*row) for row in found]

    def ended(self) -> int:
        """Touches that have come to an end."""
        return sum(self.states()[state] for state in DONE)

    def until_settled(self, workers: Sequence[Running], within_s: float) -> None:
        """Returns when all that was sent is applied, called and told."""
        until(self.settled, "everything was sent", within_s, workers)

    def close(self) -> None:
        """Ends the workers and drops the database."""
        self._asking.close()
        super().close()
        self.postgres.drop(self.database)


def joined(members: Iterable[str]) -> list[Event]:
    """They joined a moment ago, where it is noon."""
    now = datetime.now(UTC)
    where = {"zone": where_it_is_noon(now), "country": "GB", "region": "GB-LND"}
    by_email = {"channels": ("email",), "consents": ("email",)}
    return [
        enrolled(member, now - timedelta(minutes=5), **by_email, **where, given_name=f"Name-{member}")  # type: ignore[arg-type]
        for member in members
    ]
