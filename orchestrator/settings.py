"""Each setting of `orchestrator.toml`: default, unit, one sentence. Secrets come from files or the environment."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from orchestrator.errors import SetupError

FILE = "orchestrator.toml"


class StoreSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where state is kept."""

    # sqlite:///file (relative to the project) or postgresql://…
    url: str = "sqlite:///orchestrator.db"
    # number of partitions; does not change on a living store
    partitions: Annotated[int, Meta(ge=1, le=4096)] = 32
    # how long the identity of an event is remembered, in days; older events are dead letters `too_old`
    horizon_days: Annotated[int, Meta(ge=1, le=3660)] = 35


class KeySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the key file lies (0600); it is made by `init` and never stored with the data."""

    # path, relative to the project unless absolute
    file: str = "keys/orchestrator.key"


class LawSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How law packs bind."""

    # statute | compliant (adds carriers, platforms, self-regulation) | courteous (adds recommended practice)
    profile: Literal["statute", "compliant", "courteous"] = "compliant"
    # draft packs may then only tighten the default pack
    require_reviewed: bool = False


class SmtpSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The e-mail relay."""

    # name or address of the relay
    host: str = "127.0.0.1"
    # its TCP port
    port: Annotated[int, Meta(ge=1, le=65535)] = 25
    # none | starttls | tls
    security: Literal["none", "starttls", "tls"] = "starttls"
    # account at the relay; "" sends without logging in
    user: str = ""
    # name of the environment variable that holds the password
    password_env: str = "ORCHESTRATOR_SMTP_PASSWORD"  # noqa: S105 - the variable's name, not the password
    # seconds for one call, connection included
    timeout_s: Annotated[float, Meta(gt=0)] = 10.0
    # connections at once
    connections: Annotated[int, Meta(ge=1, le=1000)] = 8


class DispatchSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How messages leave."""

    # channel -> adapter folder: "capture" keeps messages on disk for a person to open
    adapters: dict[str, str] = field(default_factory=lambda: {"email": "capture", "sms": "capture"})
    # where `capture` puts messages, relative to the project
    capture_dir: str = "captured"
    # calls at most for one touch
    max_attempts: Annotated[int, Meta(ge=1, le=20)] = 5
    # seconds a claim is held
    lease_s: Annotated[float, Meta(gt=0)] = 60.0
    smtp: SmtpSettings = field(default_factory=SmtpSettings)


class KafkaSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The cluster that feeds the workers, and that is told what was decided."""

    # host:port of one or more brokers, separated by commas
    bootstrap: str = "127.0.0.1:9092"
    # topic that events arrive by, keyed by member
    events: str = "member-events"
    # topic that decisions are told to
    decisions: str = "decisions"
    # topic that touches are told to
    touches: str = "touches"
    # consumer group of the workers
    group: str = "orchestrator"
    # name of this worker that outlives its restarts, so that one spares the group a rebalance; "" has none
    instance_id: str = ""
    # seconds without a heartbeat after which a worker's partitions go to others
    session_timeout_s: Annotated[float, Meta(ge=1, le=300)] = 15.0
    # seconds that a batch, or any other thing that must end, may take before the worker is ended
    watchdog_s: Annotated[float, Meta(ge=5, le=3600)] = 60.0


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a project."""

    # the programme's name, as templates and senders show it
    programme: str = "Our programme"
    # house default locale, when a member has none that a template knows
    locale: str = "en"
    # public address of the opt-out page, https; "" leaves the header out
    public_url: str = "https://example.com"
    store: StoreSettings = field(default_factory=StoreSettings)
    keys: KeySettings = field(default_factory=KeySettings)
    laws: LawSettings = field(default_factory=LawSettings)
    dispatch: DispatchSettings = field(default_factory=DispatchSettings)
    kafka: KafkaSettings = field(default_factory=KafkaSettings)


def load(project: Path) -> Settings:
    """The settings of a project folder; raises SetupError that names file and cure.

    `ORCHESTRATOR_STORE_URL` and `ORCHESTRATOR_KEY_FILE` in the environment win over the file.
    """
    path = project / FILE
    if not path.is_file():
        raise SetupError(f"{path} does not exist; make a project with: orchestrator init {project}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{path}: {error}") from None
    for name, section, key in (("ORCHESTRATOR_STORE_URL", "store", "url"), ("ORCHESTRATOR_KEY_FILE", "keys", "file")):
        if value := os.environ.get(name):
            table.setdefault(section, {})[key] = value
    try:
        return msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise SetupError(f"{path}: {error}") from None
