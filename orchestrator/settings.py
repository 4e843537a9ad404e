"""Each setting of `orchestrator.toml`: default, unit, one sentence. Secrets come from files or the environment."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from orchestrator.errors import ContentError, Problem, SetupError
from orchestrator.located import Located, convert

FILE = "orchestrator.toml"

# environment variable -> the setting that it wins over; deployments differ in these, and in nothing else
ENVIRONMENT = {
    "ORCHESTRATOR_STORE_URL": ("store", "url"),
    "ORCHESTRATOR_KEY_FILE": ("keys", "file"),
    "ORCHESTRATOR_KAFKA_BOOTSTRAP": ("kafka", "bootstrap"),
    "ORCHESTRATOR_KAFKA_REPLICATION": ("kafka", "replication"),
    "ORCHESTRATOR_KAFKA_INSTANCE_ID": ("kafka", "instance_id"),
    "ORCHESTRATOR_KAFKA_SECURITY": ("kafka", "security"),
    "ORCHESTRATOR_KAFKA_USER": ("kafka", "user"),
    "ORCHESTRATOR_KAFKA_CA_FILE": ("kafka", "ca_file"),
    "ORCHESTRATOR_SERVE_HOST": ("serve", "host"),
    "ORCHESTRATOR_SERVE_PORT": ("serve", "port"),
    "ORCHESTRATOR_METRICS_LISTEN": ("metrics", "listen"),
}


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


class SendGridSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """An account at SendGrid, for e-mail."""

    # where its API is; accounts of the European Union have https://api.eu.sendgrid.com
    host: str = "https://api.sendgrid.com"
    # name of the environment variable that holds the API key (scope Mail Send alone); with _FILE after it, of its file
    api_key_env: str = "ORCHESTRATOR_SENDGRID_API_KEY"
    # public keys of the signed webhooks, for events and inbound mail, as the console shows them; several while one is
    # replaced
    webhook_keys: list[str] = []
    # true has each message checked by SendGrid and sent to nobody
    sandbox: bool = False
    # seconds for one call
    timeout_s: Annotated[float, Meta(gt=0)] = 10.0
    # calls at once
    calls: Annotated[int, Meta(ge=1, le=1000)] = 16


class TwilioSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """An account at Twilio, for SMS and WhatsApp."""

    # where its API is
    host: str = "https://api.twilio.com"
    # the account: AC and 32 digits
    account_sid: str = ""
    # name of the environment variable that holds the account's token, which also signs what Twilio tells us
    auth_token_env: str = "ORCHESTRATOR_TWILIO_AUTH_TOKEN"  # noqa: S105 - the variable's name, not the token
    # an API key to call with in place of the token: SK and 32 digits; "" calls with the token
    api_key_sid: str = ""
    # name of the environment variable that holds the API key's secret
    api_key_secret_env: str = "ORCHESTRATOR_TWILIO_API_KEY_SECRET"  # noqa: S105 - the variable's name, not the secret
    # the messaging service that sends SMS: MG and 32 digits; "" sends from the sender of channel_policies/sms.yaml
    messaging_service_sid: str = ""
    # the messaging service that sends on WhatsApp; "" sends from the sender of channel_policies/whatsapp.yaml
    whatsapp_service_sid: str = ""
    # parts of an SMS at most; a longer one is refused before it is sent
    max_segments: Annotated[int, Meta(ge=1, le=10)] = 10
    # seconds for one call
    timeout_s: Annotated[float, Meta(gt=0)] = 10.0
    # calls at once, on each channel
    calls: Annotated[int, Meta(ge=1, le=1000)] = 16


class WhatsAppSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A number at Meta's Cloud API, for WhatsApp."""

    # where its API is
    host: str = "https://graph.facebook.com"
    # version of the API
    version: Annotated[str, Meta(pattern=r"^v\d{1,3}\.\d$")] = "v23.0"
    # the number's id, digits, as the app's dashboard shows it (not the number)
    phone_number_id: str = ""
    # name of the environment variable that holds the token of a system user
    token_env: str = "ORCHESTRATOR_WHATSAPP_TOKEN"  # noqa: S105 - the variable's name, not the token
    # name of the environment variable that holds the app's secret, which signs what Meta tells us
    app_secret_env: str = "ORCHESTRATOR_WHATSAPP_APP_SECRET"  # noqa: S105 - the variable's name, not the secret
    # name of the environment variable that holds the word by which Meta asks whether the webhook is ours
    verify_token_env: str = "ORCHESTRATOR_WHATSAPP_VERIFY_TOKEN"  # noqa: S105 - the variable's name, not the token
    # seconds for one call
    timeout_s: Annotated[float, Meta(gt=0)] = 10.0
    # calls at once
    calls: Annotated[int, Meta(ge=1, le=1000)] = 16


class TelegramSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A bot on Telegram."""

    # its user name, as in https://t.me/NAME: members' own pages then offer to begin the conversation; "" does not
    name: Annotated[str, Meta(pattern="^[A-Za-z0-9_]{0,32}$")] = ""
    # where its API is
    host: str = "https://api.telegram.org"
    # name of the environment variable that holds the bot's token
    token_env: str = "ORCHESTRATOR_TELEGRAM_TOKEN"  # noqa: S105 - the variable's name, not the token
    # name of the environment variable that holds the secret token given with setWebhook
    webhook_secret_env: str = "ORCHESTRATOR_TELEGRAM_WEBHOOK_SECRET"  # noqa: S105 - the variable's name, not the secret
    # seconds for one call
    timeout_s: Annotated[float, Meta(gt=0)] = 10.0
    # calls at once
    calls: Annotated[int, Meta(ge=1, le=1000)] = 16


class AccountSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """An account at a provider under a name of its own: `[dispatch.accounts.NAME]`."""

    # folder of the adapter that calls it; "" is the one that has the account's name
    adapter: str = ""
    # calls begun within any second at most, by all workers together; 0.5 is one every two seconds, 0 has no bound
    per_second: Annotated[float, Meta(ge=0, le=100_000)] = 0.0
    # so many failures of the account's own, half of the calls or more, and it is left alone
    failures: Annotated[int, Meta(ge=1, le=100_000)] = 10
    # seconds back that failures are counted
    failure_window_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    # seconds until one call finds out whether it is well again; twice as long after each that finds it is not
    rest_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    # the adapter's own table, where this account differs from [dispatch.<adapter>]
    smtp: SmtpSettings | None = None
    sendgrid: SendGridSettings | None = None
    twilio: TwilioSettings | None = None
    whatsapp: WhatsAppSettings | None = None
    telegram: TelegramSettings | None = None


class DispatchSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How messages leave."""

    # channel -> account, or several in the order in which they are tried: ["mailer", "relay"]; an account is a name
    # under [dispatch.accounts], or an adapter's folder: "capture" keeps messages on disk for a person to open
    adapters: dict[str, str | list[str]] = field(default_factory=lambda: {"email": "capture", "sms": "capture"})
    # name -> account, where one adapter serves several, or one has bounds: [dispatch.accounts.relay] adapter = "smtp"
    accounts: dict[str, AccountSettings] = {}
    # where `capture` puts messages, relative to the project
    capture_dir: str = "captured"
    # calls at most for one touch; while none of its channel's accounts is well it waits for one, and is not given up
    max_attempts: Annotated[int, Meta(ge=1, le=20)] = 5
    # seconds a claim is held
    lease_s: Annotated[float, Meta(gt=0)] = 60.0
    smtp: SmtpSettings = field(default_factory=SmtpSettings)
    sendgrid: SendGridSettings = field(default_factory=SendGridSettings)
    twilio: TwilioSettings = field(default_factory=TwilioSettings)
    whatsapp: WhatsAppSettings = field(default_factory=WhatsAppSettings)
    telegram: TelegramSettings = field(default_factory=TelegramSettings)

    def names(self, channel: str) -> tuple[str, ...]:
        """The accounts of a channel, in the order in which they are tried; none where the settings name none."""
        named = self.adapters.get(channel, ())
        return (named,) if isinstance(named, str) else tuple(named)

    def account(self, name: str) -> AccountSettings:
        """The account of this name, its adapter's folder told; one without a table has no bounds of its own."""
        account = self.accounts.get(name) or AccountSettings()
        return account if account.adapter else msgspec.structs.replace(account, adapter=name)

    def of(self, name: str) -> DispatchSettings:
        """These settings as the account's adapter is to see them: with its own tables in place of the common ones."""
        account = self.account(name)
        own = {
            table: mine
            for table in ("smtp", "sendgrid", "twilio", "whatsapp", "telegram")
            if (mine := getattr(account, table)) is not None
        }
        return msgspec.structs.replace(self, **own) if own else self


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
    # topic that dead letters are told to
    dead_letters: str = "dead-letters"
    # copies of each topic; a write counts when all but one have it (a single broker has 1)
    replication: Annotated[int, Meta(ge=1, le=7)] = 3
    # days that topics keep what they hold: events are personal data, and must outlast the longest outage
    retention_days: Annotated[int, Meta(ge=1, le=365)] = 7
    # plaintext | tls | sasl_tls | sasl (a password over a line that anyone can read: see allow_sasl_without_tls)
    security: Literal["plaintext", "tls", "sasl_tls", "sasl"] = "plaintext"
    # true lets `security = "sasl"` through, for a network that encrypts by itself
    allow_sasl_without_tls: bool = False
    # how to log in: SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN
    sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    # account to log in with
    user: str = ""
    # name of the environment variable that holds its password
    password_env: str = "ORCHESTRATOR_KAFKA_PASSWORD"  # noqa: S105 - the variable's name, not the password
    # certificates (PEM) of the authorities that the brokers are trusted by, relative to the project; "" asks the system
    ca_file: str = ""
    # our own certificate (PEM), for brokers that ask for one, relative to the project; "" shows none
    cert_file: str = ""
    # its private key (PEM, unencrypted, readable to us alone), relative to the project; "" looks in cert_file
    key_file: str = ""
    # consumer group of the workers
    group: str = "orchestrator"
    # name of this worker that outlives its restarts, so that one spares the group a rebalance; "" has none
    instance_id: str = ""
    # seconds without a heartbeat after which a worker's partitions go to others
    session_timeout_s: Annotated[float, Meta(ge=1, le=300)] = 15.0
    # seconds that a batch, or any other thing that must end, may take before the worker is ended
    watchdog_s: Annotated[float, Meta(ge=5, le=3600)] = 60.0

    def __post_init__(self) -> None:
        """Refuses what would send a password in the clear, or log in as nobody."""
        if self.security == "sasl" and not self.allow_sasl_without_tls:
            raise ValueError(
                'security "sasl" sends the login without TLS; use "sasl_tls", or set allow_sasl_without_tls = true '
                "where the network itself is encrypted"
            )
        if self.security.startswith("sasl") and not self.user:
            raise ValueError(f'security "{self.security}" needs a user')
        if self.key_file and not self.cert_file:
            raise ValueError("key_file belongs to a cert_file, and none is named")


class ServeSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """HTTP: events that come in, what providers tell, the pages that members see."""

    # address to listen at; a proxy that speaks TLS stands before it
    host: str = "127.0.0.1"
    # its TCP port
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    # where events go: engine (this process turns them and sends), kafka (the workers do); auto: kafka where the store
    # is PostgreSQL, else engine
    into: Literal["auto", "engine", "kafka"] = "auto"
    # who may call, a line each, as `orchestrator serve --new-key NAME` prints it: name, roles, SHA-256 of the key
    api_keys: list[str] = []
    # proxies whose word on the caller's address is believed, separated by commas
    trusted_proxies: str = "127.0.0.1"
    # bytes of a request with events at most; what providers send has limits of its own
    max_body_bytes: Annotated[int, Meta(ge=1024, le=64 << 20)] = 1 << 20
    # events of one request at most
    max_batch: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    # requests a minute of one API key; a burst of a tenth of that is let through at once
    key_requests_per_minute: Annotated[int, Meta(ge=1)] = 6_000
    # days that a link to a member's own preferences holds, that of the message included
    link_days: Annotated[int, Meta(ge=1, le=365)] = 30
    # words that end marketing when a member replies with one of them, beside those of five languages that are known
    stop_words: list[str] = []


class MetricsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Figures for Prometheus."""

    # where a worker answers GET /metrics, as address:port ("127.0.0.1:9100"); "" nowhere. `orchestrator serve` answers
    # at its own address, for API keys with the role status
    listen: Annotated[str, Meta(pattern=r"^([^\s/]+:[0-9]{1,5})?$")] = ""


class DomainSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What `orchestrator doctor --domain` asks about the domains that e-mail comes from."""

    # address of the name server to ask, with :port where it is not 53; "" asks that of this machine
    resolver: str = ""
    # names of the DKIM keys that the carrier signs with: SendGrid has s1 and s2; others show theirs
    dkim_selectors: list[str] = field(default_factory=lambda: ["s1", "s2"])
    # seconds for one question, repetitions included
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 5.0


class ApprovalSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Who approves a journey before members enter it."""

    # `name key` of each person who may propose and approve, as `orchestrator content new-key` prints it; none: no gate
    people: list[str] = field(default_factory=list)
    # a journey that may reach more members than this needs two approvers beside its author
    above_members: Annotated[int, Meta(ge=0)] = 1_000


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a project."""

    # the programme's name, as templates and senders show it
    programme: str = "Example Club"
    # where links in messages lead, https, without a slash at its end; templates know it as `site`
    site: str = "https://example.com"
    # the postal address of who writes, in one line; templates show it, and several laws ask for it in marketing e-mail
    postal_address: str = "1 Example Street, Example City"
    # house default locale, when a member has none that a template knows
    locale: str = "en"
    # public address of the opt-out page, https; "" leaves the header out
    public_url: str = "https://example.com"
    # address for opting out by mail, whose mail comes to /webhooks/sendgrid/inbound; "" leaves it out of the headers
    opt_out_mail: Annotated[str, Meta(pattern=r"^([A-Za-z0-9._-]+@[A-Za-z0-9.-]+)?$", max_length=30)] = ""
    # who looks texts over: channel -> addresses of colleagues, for `template test-send`
    seeds: dict[str, list[str]] = {}
    store: StoreSettings = field(default_factory=StoreSettings)
    keys: KeySettings = field(default_factory=KeySettings)
    laws: LawSettings = field(default_factory=LawSettings)
    dispatch: DispatchSettings = field(default_factory=DispatchSettings)
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    serve: ServeSettings = field(default_factory=ServeSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    domain: DomainSettings = field(default_factory=DomainSettings)
    approval: ApprovalSettings = field(default_factory=ApprovalSettings)


def load(project: Path) -> Settings:
    """The settings of a project folder; raises SetupError that names file and cure.

    The variables of ENVIRONMENT win over the file. Paths of [kafka] come out absolute.
    """
    path = project / FILE
    if not path.is_file():
        raise SetupError(f"{path} does not exist; make a project with: orchestrator init {project}")
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SetupError(_no_toml(path, str(error))) from None
    except UnicodeDecodeError:
        raise SetupError(f"{path}:1: this file is not UTF-8 text (save it as UTF-8)") from None
    given = _with_environment(table)
    kafka = given.get("kafka")
    for key in ("ca_file", "cert_file", "key_file"):
        if isinstance(kafka, dict) and isinstance(named := kafka.get(key), str) and named:
            kafka[key] = str(project / named)
    try:
        return msgspec.convert(given, Settings)
    except msgspec.ValidationError:
        raise SetupError(_told(path, text, table, given)) from None


def _with_environment(table: dict[str, Any]) -> dict[str, Any]:
    """The tables of the file, with what the environment wins over; the file's own stay as they are."""
    given = {name: dict(value) if isinstance(value, dict) else value for name, value in table.items()}
    for name, (section, key) in ENVIRONMENT.items():
        value = os.environ.get(name)
        if value and isinstance(known := given.setdefault(section, {}), dict):
            # an environment knows text alone
            number = isinstance(getattr(getattr(Settings(), section), key), int) and value.isdecimal()
            known[key] = int(value) if number else value
    return given


def _no_toml(path: Path, error: str) -> str:
    """What the parser says, with the place where people look for it."""
    match = re.fullmatch(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", error)
    if match is None or not match["line"]:
        return f"{path}: no TOML: {match['what'] if match else error}, at its end"
    return f'{path}:{match["line"]}:{match["column"]}: no TOML: {match["what"]} (texts stand in quotes: name = "text")'


def _told(path: Path, text: str, table: dict[str, Any], given: dict[str, Any]) -> str:
    """Every setting of the file that is wrong, each with line and cure; where the file is sound, the environment's."""
    if problems := _problems(Located(str(path), table, _lines(text))):
        return "\n".join(map(str, problems))
    told = "; ".join(f"{problem.what} {problem.cure}".strip() for problem in _problems(Located("", given, {})))
    names = [name for name, (_, key) in ENVIRONMENT.items() if name in os.environ and f"`{key}`" in told]
    return f"{' or '.join(names) or 'a variable ORCHESTRATOR_…'} in the environment: {told}"


def _problems(located: Located) -> list[Problem]:
    try:
        convert(located, Settings)
    except ContentError as error:
        return error.problems
    return []


def _lines(text: str) -> dict[tuple[str | int, ...], int]:
    """Where each table and key of a TOML file stands, as this file and people write them: a key a line."""
    lines: dict[tuple[str | int, ...], int] = {}
    section: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if head := re.match(r"\s*\[([^\[\]]+)\]", line):
            section = tuple(part.strip().strip("\"'") for part in head[1].split("."))
            lines[section] = number
        elif key := re.match(r"\s*[\"']?([\w-]+)[\"']?\s*=", line):
            lines[*section, key[1]] = number
    return lines
