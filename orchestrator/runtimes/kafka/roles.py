"""What a process may do on Kafka, and whether the topics are as that needs them."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from orchestrator.errors import SetupError
from orchestrator.project import Project
from orchestrator.runtimes.kafka import cluster


class Role(StrEnum):
    """What a worker does."""

    decide = "decide"
    dispatch = "dispatch"
    relay = "relay"


def check(project: Project, roles: Collection[Role]) -> dict[str, cluster.Log]:
    """The logs of the topics that these roles need; raises SetupError or ContentError with the cure."""
    kafka = project.settings.kafka
    topics = [kafka.events] if Role.decide in roles else []
    if Role.relay in roles:
        topics += [kafka.decisions, kafka.touches]
    found = cluster.find_logs(kafka, topics) if topics else {}
    has, wants = found.get(kafka.events), project.settings.store.partitions
    if has is not None and has.partitions != wants:
        raise SetupError(
            f"topic {kafka.events} has {has.partitions} partitions and the store {wants}; a member would be found in "
            "another partition. Make the topic anew with as many as [store] partitions in orchestrator.toml"
        )
    return found
