"""Every way to reach a broker works with each client, and none shows or sends a password where it must not."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from faust.auth import SASLCredentials, SSLCredentials
from kafka import KafkaAdminClient

from orchestrator import settings as settings_module
from orchestrator.errors import SetupError
from orchestrator.kafka_security import addresses, client_options
from orchestrator.runtimes.kafka.credentials import credentials
from orchestrator.settings import KafkaSettings
from orchestrator.starter import create as new_project
from tests.servers import PASSWORD, USER, Kafka, write_certificates

VARIABLE = "ORCHESTRATOR_KAFKA_PASSWORD"


def ways(kafka: Kafka) -> dict[str, KafkaSettings]:
    """Each way to connect that the settings know."""
    files = kafka.certificates
    ca, own = str(files / "ca.pem"), {"cert_file": str(files / "client.pem"), "key_file": str(files / "client.key")}
    login = {"bootstrap": kafka.address("LOGIN"), "security": "sasl_tls", "ca_file": ca, "user": USER}
    return {
        "plaintext": KafkaSettings(bootstrap=kafka.bootstrap),
        "tls": KafkaSettings(bootstrap=kafka.address("TLS"), security="tls", ca_file=ca),
        "mutual tls": KafkaSettings(bootstrap=kafka.address("MUTUAL"), security="tls", ca_file=ca, **own),
        "scram 512": KafkaSettings(**login),
        "scram 256": KafkaSettings(**login, sasl_mechanism="SCRAM-SHA-256"),
        "plain": KafkaSettings(**login, sasl_mechanism="PLAIN"),
        "in the clear": KafkaSettings(
            bootstrap=kafka.address("LOGIN_IN_CLEAR"), security="sasl", allow_sasl_without_tls=True, user=USER
        ),
    }


def in_a_process(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program with these arguments to its end."""
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.kafka
@pytest.mark.parametrize(
    "way", ["plaintext", "tls", "mutual tls", "scram 512", "scram 256", "plain", "in the clear"], ids=str
)
def test_each_client_connects_each_way(kafka: Kafka, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, PASSWORD)
    settings = ways(kafka)[way]

    admin = KafkaAdminClient(**client_options(settings))
    try:
        assert 1 == len(admin.describe_cluster()["brokers"])
    finally:
        admin.close()

    async def connect() -> int:
        producer = AIOKafkaProducer(**client_options(settings))
        await producer.start()
        try:
            return len(producer.client.cluster.brokers())
        finally:
            await producer.stop()
            # it closes TLS connections without waiting for their end
            await asyncio.sleep(0.2)

    assert 1 == asyncio.run(connect())


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("way", "change"),
    [
        ("tls", {"ca_file": ""}),
        ("mutual tls", {"cert_file": "", "key_file": ""}),
        ("scram 512", {"user": "nobody"}),
        ("tls", {"bootstrap": "localhost:PORT"}),
    ],
    ids=["an authority we do not trust", "no certificate of ours", "an unknown user", "another name than certified"],
)
def test_a_broker_that_can_not_be_trusted_or_does_not_trust_us_is_a_setup_error_without_secrets(
    kafka: Kafka, way: str, change: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, PASSWORD)
    changed = {name: value.replace("PORT", kafka.address("TLS").rpartition(":")[2]) for name, value in change.items()}
    found = {name: getattr(ways(kafka)[way], name) for name in KafkaSettings.__struct_fields__} | changed
    lines = [f"{name} = {json.dumps(value)}" for name, value in found.items()]
    (tmp_path / "orchestrator.toml").write_text("\n".join(["[kafka]", *lines]), encoding="utf-8")
    program = (
        "from orchestrator import topics; topics.TIMEOUT_MS = 3_000; from orchestrator.cli.app import main; main()"
    )
    # a process of its own: after a failed handshake kafka-python 3.0.12 forgets to close its sockets
    run = in_a_process(program, "--project", str(tmp_path), "topics", "check")
    assert 3 == run.returncode, run.stdout + run.stderr
    assert "[kafka] bootstrap, security and user" in " ".join(run.stderr.split())
    assert PASSWORD not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('security = "sasl"\nuser = "a"', "allow_sasl_without_tls"),
        ('security = "sasl_tls"', "needs a user"),
        ('security = "ssl"', "`ssl` is not known here"),
        ('key_file = "k.pem"', "cert_file"),
        ("replication = 0", "replication"),
        ("replicas = 3", "replicas"),
    ],
)
def test_settings_that_would_be_unsafe_or_unclear_are_refused_when_they_are_read(
    tmp_path: Path, lines: str, says: str
) -> None:
    (tmp_path / "orchestrator.toml").write_text(f"[kafka]\n{lines}\n", encoding="utf-8")
    with pytest.raises(SetupError, match=says):
        settings_module.load(tmp_path)


def test_variables_win_over_the_file_and_paths_are_the_projects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_project(tmp_path)
    for name, value in {
        "BOOTSTRAP": "kafka-1:9092,kafka-2:9092",
        "REPLICATION": "2",
        "SECURITY": "sasl_tls",
        "USER": "1234",
        "CA_FILE": "ca.pem",
    }.items():
        monkeypatch.setenv(f"ORCHESTRATOR_KAFKA_{name}", value)
    kafka = settings_module.load(tmp_path).kafka
    assert ("sasl_tls", "1234", 2, str(tmp_path / "ca.pem")) == (
        kafka.security,
        kafka.user,
        kafka.replication,
        kafka.ca_file,
    )
    assert ["kafka-1:9092", "kafka-2:9092"] == addresses(kafka)
    monkeypatch.setenv("ORCHESTRATOR_KAFKA_REPLICATION", "many")
    with pytest.raises(SetupError, match="replication"):
        settings_module.load(tmp_path)


def test_a_missing_password_names_its_variable_and_a_missing_certificate_its_setting(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=VARIABLE):
        client_options(KafkaSettings(security="sasl_tls", user="a"))
    with pytest.raises(SetupError, match="ca_file"):
        client_options(KafkaSettings(security="tls", ca_file=str(tmp_path / "none.pem")))
    write_certificates(tmp_path)
    with pytest.raises(SetupError, match="cert_file"):
        client_options(
            KafkaSettings(security="tls", ca_file=str(tmp_path / "ca.pem"), cert_file=str(tmp_path / "none"))
        )


def test_a_password_is_shown_by_no_repr_and_no_debug_log_when_a_connection_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, PASSWORD)
    settings = KafkaSettings(bootstrap="127.0.0.1:1", security="sasl_tls", user=USER)
    options = client_options(settings)
    assert PASSWORD == options["sasl_plain_password"]
    assert PASSWORD not in repr(options)
    program = (
        "import logging; logging.basicConfig(level=logging.DEBUG)\n"
        "from orchestrator.kafka_security import client_options\n"
        "from orchestrator.settings import KafkaSettings\n"
        "from orchestrator.topics import Admin\n"
        f"options = client_options(KafkaSettings(bootstrap='127.0.0.1:1', security='sasl_tls', user={USER!r}))\n"
        "import threading\n"
        "try:\n"
        "    Admin(**options, bootstrap_timeout_ms=300)\n"
        "finally:\n"
        "    print([thread.name for thread in threading.enumerate()])"
    )
    run = in_a_process(program)
    assert "['MainThread']\n" == run.stdout, "an administrator that could not connect goes on trying"
    said = run.stderr
    assert "Starting KafkaAdminClient" in said, "kafka-python logs its configuration, which is what this is about"
    assert "Traceback" in said
    assert PASSWORD not in said


def test_faust_gets_a_login_with_its_tls_context_or_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, PASSWORD)
    assert credentials(KafkaSettings()) is None
    encrypted = credentials(KafkaSettings(security="tls"))
    assert isinstance(encrypted, SSLCredentials)
    login = credentials(KafkaSettings(security="sasl_tls", user=USER))
    assert isinstance(login, SASLCredentials)
    assert ("SASL_SSL", "SCRAM-SHA-512", USER, PASSWORD) == (
        login.protocol.value,
        login.mechanism.value,
        login.username,
        login.password,
    )
    for context in (encrypted.context, login.ssl_context):
        assert context is not None
        assert (True, ssl.CERT_REQUIRED) == (context.check_hostname, context.verify_mode)
    assert PASSWORD not in repr(login)
