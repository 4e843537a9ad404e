"""The history on its way into Kafka: bytes of events, produced at their time, to the partition that the plan says."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

from kafka import KafkaProducer
from kafka.errors import KafkaError

from orchestrator.events.partition import partition_of
from tests.chaos.plan import CHANNELS, Plan, PlannedEvent, contact_of, group_of, name_of
from tests.chaos.project import PARTITIONS, ZONES

TOPIC = "member-events"


class Feed:
    """Produces a plan's events."""

    def __init__(self, plan: Plan, bootstrap: str) -> None:
        self._plan, self._start = plan, time.time()
        self._producer = KafkaProducer(
            bootstrap_servers=bootstrap,
            acks="all",
            enable_idempotence=True,
            retries=1_000_000,
            delivery_timeout_ms=180_000,
            request_timeout_ms=10_000,
            max_block_ms=120_000,
        )
        self._bytes: dict[int, bytes] = {}
        self._failed: list[str] = []
        self.sent = 0

    def backlog(self) -> None:
        """What is there before the first worker starts; returns when the broker has it."""
        for event in self._plan.events:
            if event.at_s == 0.0:
                self._send(event)
        self._producer.flush(60)

    def run(self, start: float) -> None:
        """The rest, each event so long after `start` (seconds since 1970).

        Raises RuntimeError where the broker would not take one.
        """
        self._start = start
        for event in self._plan.events:
            if event.at_s == 0.0:
                continue
            wait = self._start + event.at_s - time.time()
            if wait > 0:
                time.sleep(wait)
            self._send(event)
        self._producer.flush(180)
        self._producer.close()
        if self._failed:
            raise RuntimeError(f"{len(self._failed)} events were not produced: {self._failed[0]}")

    def _send(self, event: PlannedEvent) -> None:
        subject = name_of(event.member)
        partition = partition_of(subject, PARTITIONS)
        if event.misplaced:
            partition = (partition + 1 + event.number % (PARTITIONS - 1)) % PARTITIONS
        raw = self._raw(event)
        try:
            sent = self._producer.send(TOPIC, key=subject.encode(), value=raw, partition=partition)
            sent.add_errback(lambda error: self._failed.append(repr(error)))
        except KafkaError as error:
            self._failed.append(repr(error))
        self.sent += 1

    def _raw(self, event: PlannedEvent) -> bytes:
        """A duplicate has its original's bytes; a reused identity says something else under the same name."""
        if event.kind == "poison":
            return (b"\xff\xfe not json %d" % event.number, b'{"specversion":"1.0"}', b"[]")[event.number % 3]
        if event.kind == "duplicate":
            return self._bytes[event.number]
        if event.kind == "reused":
            return self._bytes[event.number].replace(b'"specversion"', b' "specversion"', 1)
        type, data = _said(event)
        at = datetime.fromtimestamp(self._start + event.at_s, UTC)
        envelope = {
            "specversion": "1.0",
            "id": f"e{event.number}",
            "source": "chaos",
            "type": type,
            "subject": name_of(event.member),
            "time": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "data": data,
        }
        raw = self._bytes[event.number] = json.dumps(envelope).encode()
        return raw


def _said(event: PlannedEvent) -> tuple[str, dict[str, object]]:
    """Type and data of an event."""
    if event.kind == "enrolled":
        return "member.enrolled", _profile(event)
    if event.kind == "purchase":
        return "purchase.completed", {"purchase_id": f"p{event.number}", "amount": event.amount, "currency": "USD"}
    if event.kind == "withdrawn":
        channel = {"channel": event.channels[0]} if event.channels[0] else {}
        return "consent.withdrawn", {"purpose": "marketing", "method": "form", **channel}
    if event.kind == "complaint":
        return "complaint.opened", {"complaint_id": f"c{event.number}"}
    if event.kind == "merged":
        return "member.merged", {"into": name_of(event.into)}
    return "member.cancelled", {}


def _profile(event: PlannedEvent) -> dict[str, object]:
    consents = [
        {"channel": channel, "purpose": "marketing", "wording": "w1", "method": "form", "evidence": "form 1"}
        for channel in event.channels
    ]
    return {
        "given_name": f"Name{event.member}",
        "country": "US",
        "zone": ZONES[group_of(event.member)],
        "contact_points": [{"channel": channel, "address": contact_of(event.member, channel)} for channel in CHANNELS],
        "consents": consents,
    }
