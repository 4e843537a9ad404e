"""The topics of a project: what they must be, what they are, and making those that are missing.

`member-events` is what happened, keyed by member, as many partitions as the store, with the broker's append time; what
was decided goes to `decisions` and `touches`, what could not be applied to `dead-letters`. None is ever compacted, and
all forget: events are personal data.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import KafkaError, for_code
from msgspec import Struct

from orchestrator.errors import SetupError
from orchestrator.kafka_security import client_options
from orchestrator.settings import KafkaSettings, Settings

DAY_MS = 24 * 60 * 60 * 1000
# milliseconds until a broker that does not answer is reported
TIMEOUT_MS = 15_000
_EXISTS, _UNKNOWN, _BAD_REPLICATION = 36, 3, 38


class Topic(Struct, frozen=True, kw_only=True):
    """What a topic must be."""

    name: str
    partitions: int
    # copies of each partition
    replication: int
    # settings of the topic, by Kafka's names
    configs: dict[str, str]


class Difference(Struct, frozen=True, kw_only=True):
    """One thing about a topic that is not as it must be."""

    topic: str
    # exists | partitions | replication | a setting by Kafka's name
    what: str
    found: str
    wanted: str
    # what to do about it
    cure: str


class Checked(Struct, frozen=True, kw_only=True):
    """What `check` found."""

    topics: list[Topic]
    differences: list[Difference]


class Created(Struct, frozen=True, kw_only=True):
    """What `create` did."""

    made: list[str]
    # were there before, and stayed as they were
    kept: list[str]
    # what those that were kept lack
    differences: list[Difference]


def wanted(settings: Settings) -> list[Topic]:
    """The topics that these settings ask for."""
    kafka = settings.kafka
    configs = {
        "cleanup.policy": "delete",
        "retention.ms": str(kafka.retention_days * DAY_MS),
        # our clocks follow this: a producer's own time may stand anywhere
        "message.timestamp.type": "LogAppendTime",
        # with three copies any one broker may be away, and what was acknowledged is still on two
        "min.insync.replicas": str(max(1, kafka.replication - 1)),
        "unclean.leader.election.enable": "false",
    }
    return [
        Topic(name=name, partitions=settings.store.partitions, replication=kafka.replication, configs=configs)
        for name in (kafka.events, kafka.decisions, kafka.touches, kafka.dead_letters)
    ]


def create(settings: Settings) -> Created:
    """Makes the topics that are missing and says what the others lack; it may be repeated, and changes none.

    Raises SetupError where the cluster does not answer, refuses us, or has too few brokers.
    """
    topics = wanted(settings)
    with _admin(settings.kafka) as admin:
        there = _described(admin, topics)
        missing = {topic.name: topic for topic in topics if topic.name not in there}
        made = _make(admin, missing) if missing else set()
        differences = _differences(admin, topics, settings)
    names = [topic.name for topic in topics]
    return Created(
        made=[name for name in names if name in made],
        kept=[name for name in names if name not in made],
        differences=differences,
    )


def check(settings: Settings) -> Checked:
    """Compares each topic with what it must be; raises SetupError where the cluster does not answer or refuses us."""
    topics = wanted(settings)
    with _admin(settings.kafka) as admin:
        return Checked(topics=topics, differences=_differences(admin, topics, settings))


def _make(admin: Any, missing: dict[str, Topic]) -> set[str]:
    """The names that were made by us; one that somebody else made meanwhile is not among them."""
    answer = admin.create_topics(
        {
            name: {
                "num_partitions": topic.partitions,
                "replication_factor": topic.replication,
                "configs": topic.configs,
            }
            for name, topic in missing.items()
        },
        raise_errors=False,
    )
    made = set()
    for topic in answer["topics"]:
        name, code = topic["name"], topic["error_code"]
        if code == _BAD_REPLICATION:
            raise SetupError(
                f"topic {name} can't have {missing[name].replication} copies on this cluster; add brokers, or set "
                "[kafka] replication to how many there are"
            )
        if code not in {0, _EXISTS}:
            raise SetupError(f"topic {name} was not made: {topic.get('error_message') or for_code(code).__name__}")
        if code == 0:
            made.add(name)
    admin.wait_for_topics(list(missing), timeout_ms=TIMEOUT_MS)
    return made


def _described(admin: Any, topics: list[Topic]) -> dict[str, Any]:
    """Name -> what the cluster says of it, for those that exist."""
    found = {}
    for topic in admin.describe_topics([topic.name for topic in topics]):
        if topic["error_code"] == 0:
            found[topic["name"]] = topic
        elif topic["error_code"] != _UNKNOWN:
            raise SetupError(f"topic {topic['name']} can't be examined: {for_code(topic['error_code']).__name__}")
    return found


def _differences(admin: Any, topics: list[Topic], settings: Settings) -> list[Difference]:
    found = _described(admin, topics)
    there = [topic for topic in topics if topic.name in found]
    resources = [ConfigResource("topic", topic.name) for topic in there]
    configs = admin.describe_configs(resources, config_filter="all")["topic"] if resources else {}
    differences: list[Difference] = []
    for topic in topics:
        if topic.name not in found:
            differences.append(_difference(topic, "exists", "no", "yes", "orchestrator topics create"))
            continue
        differences += _shape(topic, found[topic.name]["partitions"])
        differences += _configured(topic, configs[topic.name], settings.kafka)
    return differences


def _shape(topic: Topic, partitions: list[Any]) -> Iterator[Difference]:
    """What differs in partitions and copies."""
    if len(partitions) != topic.partitions:
        cure = (
            f"the number moves keys and never changes on a topic in use: for a new project set [store] partitions = "
            f"{len(partitions)}, or delete the topic while nothing was read from it, then: orchestrator topics create"
        )
        yield _difference(topic, "partitions", str(len(partitions)), str(topic.partitions), cure)
    copies = sorted({len(partition["replica_nodes"]) for partition in partitions})
    if copies != [topic.replication]:
        cure = (
            f"give it {topic.replication} copies with kafka-reassign-partitions.sh, or set [kafka] replication to "
            "what you want"
        )
        yield _difference(topic, "replication", " or ".join(map(str, copies)), str(topic.replication), cure)


def _configured(topic: Topic, found: dict[str, Any], kafka: KafkaSettings) -> Iterator[Difference]:
    """What differs in the topic's settings."""
    for name, value in topic.configs.items():
        has = str(found.get(name, {}).get("value", ""))
        if has != value:
            cure = (
                f"kafka-configs.sh --bootstrap-server {kafka.bootstrap} --alter --entity-type topics --entity-name "
                f"{topic.name} --add-config {name}={value}"
            )
            yield _difference(topic, name, has, value, cure)


def _difference(topic: Topic, what: str, found: str, wanted: str, cure: str) -> Difference:
    return Difference(topic=topic.name, what=what, found=found, wanted=wanted, cure=cure)


class Admin(KafkaAdminClient):  # type: ignore[misc] # the library ships no types
    """kafka-python's administrator; one that can't connect leaves no thread behind that goes on trying."""

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except BaseException:
            # 3.0.12 raises before it counts itself as open, and then refuses to close
            if not hasattr(self, "_closed") and hasattr(self, "_net"):
                self._closed = False
                self.close()
            raise


@contextmanager
def _admin(kafka: KafkaSettings) -> Iterator[Any]:
    """A connected administrator; what Kafka refuses is a SetupError that names the setting and no secret."""
    options = client_options(kafka)
    try:
        admin = Admin(**options, request_timeout_ms=TIMEOUT_MS, bootstrap_timeout_ms=TIMEOUT_MS)
        try:
            yield admin
        finally:
            admin.close()
    except KafkaError as error:
        raise SetupError(
            f"Kafka at {kafka.bootstrap} (security {kafka.security}) answered {type(error).__name__}; see [kafka] "
            "bootstrap, security and user"
        ) from None
