"""What this process counts of its own work, for Prometheus; it begins at nothing with each start.

Labels are words of closed lists, channels, and names from `orchestrator.toml`: never a member, an address, or an id.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, generate_latest

OURS = CollectorRegistry()

EVENTS = Counter(
    "orchestrator_http_events", "Events by HTTP: taken, or refused for which reason", ["result"], registry=OURS
)
WORDS = Counter(
    "orchestrator_webhook_words",
    "What providers' requests said: taken, repeated, passed_over; and requests that were forged or malformed",
    ["path", "result"],
    registry=OURS,
)
RECEIPTS = Counter(
    "orchestrator_receipts", "What providers told later of touches that are ours", ["channel", "state"], registry=OURS
)
CALLS = Counter(
    "orchestrator_calls",
    "Answered calls by what they came to; late: after the claim had lapsed, so that the record says unknown",
    ["channel", "account", "outcome"],
    registry=OURS,
)


def exposition() -> bytes:
    """Prometheus's text format, in UTF-8."""
    return generate_latest(OURS)
