"""`orchestrator doctor --domain`: what receivers ask of a sender's domain, by real servers."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace
from typer.testing import CliRunner

from orchestrator import starter
from orchestrator.cli.app import app
from orchestrator.domain import Check, examine_click, examine_domain
from orchestrator.errors import SetupError
from orchestrator.settings import FILE, DomainSettings, Settings
from orchestrator.stores.sql.store import SqlStore
from orchestrator.vault import KeyFile, Vault
from tests.project.name_server import Zone, name_server
from tests.serve.inside import inside


def rsa_key(bits: int) -> str:
    key = rsa.generate_private_key(65_537, bits).public_key()
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


GOOD = rsa_key(2048)
ED = base64.b64encode(
    ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
).decode()
WELL: dict[str, list[str] | int] = {
    "club.example": ["v=spf1 include:_spf.carrier.example -all", "another=verification"],
    "_spf.carrier.example": ["v=spf1 ip4:192.0.2.0/24 a:mx.carrier.example ~all"],
    "s1._domainkey.club.example": [f"v=DKIM1; k=rsa; p={GOOD}"],
    "s2._domainkey.club.example": [f"v=DKIM1; k=ed25519; p={ED}"],
    "_dmarc.club.example": ["v=DMARC1; p=quarantine; rua=mailto:dmarc@club.example"],
}


def examined(zone: Zone, domain: str = "club.example", **changes: object) -> dict[str, Check]:
    with name_server(zone) as at:
        settings = replace(DomainSettings(resolver=at, timeout_s=3), **changes)
        return {check.name: check for check in examine_domain(domain, settings)}


def test_a_domain_that_is_set_up_well_is_told_so() -> None:
    checks = examined(WELL)
    assert {"ok"} == {check.state for check in checks.values()}, checks
    assert 4 == len(checks)
    assert "2 of 10" in checks["SPF club.example"].found
    assert "RSA, 2048 bits" == checks["DKIM s1._domainkey.club.example"].found
    assert "Ed25519" == checks["DKIM s2._domainkey.club.example"].found
    assert "p=quarantine" == checks["DMARC club.example"].found


MANY = {f"i{n}.example": [f"v=spf1 include:i{n + 1}.example ~all"] for n in range(20)}


@pytest.mark.parametrize(
    ("records", "state", "words"),
    [
        ([], "fail", "no record"),
        (["v=spf10 -all"], "fail", "no record"),
        (["v=spf1 -all", "v=spf1 ~all"], "fail", "2 records"),
        (["v=spf1 +all"], "fail", "everybody"),
        (["v=spf1 all"], "fail", "everybody"),
        (["v=spf1 ip4:192.0.2.1"], "warn", "what others are"),
        (["v=spf1 include:i0.example -all"], "fail", "more than 10"),
        (["v=spf1 include:club.example -all"], "ok", "1 of 10"),
        (["v=spf1 redirect=_spf.carrier.example"], "ok", "2 of 10"),
        (["v=spf1 " + "ip4:192.0.2.1 " * 60 + "-all"], "ok", "0 of 10"),
        (["V=SPF1 MX A:x.example PTR EXISTS:%{i}.x.example INCLUDE:%{d}.x.example ?all"], "ok", "5 of 10"),
    ],
)
def test_spf(records: list[str], state: str, words: str) -> None:
    check = examined({**WELL, **MANY, "club.example": records})["SPF club.example"]
    assert (state, True) == (check.state, words in check.found), check
    assert bool(check.cure) == (state != "ok")


@pytest.mark.parametrize(
    ("record", "state", "words"),
    [
        (f"p={rsa_key(1024)}", "warn", "RSA, 1024 bits"),
        ("v=DKIM1; p=", "fail", "revoked"),
        ("v=DKIM1; k=rsa", "fail", "no key"),
        ("v=DKIM1; p=!!!", "fail", "can't be read"),
        (f"v=DKIM1; p={GOOD[:80]}", "fail", "can't be read"),
        (f"v=DKIM1; t=y:s; p={GOOD}", "warn", "test"),
        (f"v=DKIM1; k=rsa; p={GOOD[:100]} {GOOD[100:]}", "ok", "2048"),
    ],
    # keys are made anew by each process, and all that share a run must know a test by one name
    ids=("short", "revoked", "no-key", "no-base64", "cut", "on-trial", "well"),
)
def test_dkim(record: str, state: str, words: str) -> None:
    zone = {**WELL, "s1._domainkey.club.example": [record]}
    check = examined(zone)["DKIM s1._domainkey.club.example"]
    assert (state, True) == (check.state, words in check.found), check
    assert GOOD[:40] not in check.found


def test_dkim_keys_are_looked_for_under_the_selectors_of_the_settings() -> None:
    zone = {**WELL, "k7._domainkey.club.example": [f"v=DKIM1; p={GOOD}"]}
    assert "ok" == examined(zone, dkim_selectors=["k7"])["DKIM k7._domainkey.club.example"].state
    none = examined(zone, dkim_selectors=["other"])["DKIM club.example"]
    assert ("fail", True) == (none.state, "other" in none.found)
    twice = {**WELL, "s1._domainkey.club.example": [f"p={GOOD}", f"k=ed25519; p={ED}"]}
    assert "fail" == examined(twice)["DKIM s1._domainkey.club.example"].state


@pytest.mark.parametrize(
    ("records", "state", "words"),
    [
        ([], "fail", "no record"),
        (["v=DMARC1; p=none; rua=mailto:a@b.example"], "ok", "p=none"),
        (["v=DMARC1; p=reject"], "warn", "rua"),
        (["v=DMARC1; p=whatever; rua=mailto:a@b.example"], "fail", "no policy"),
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], "fail", "2 records"),
        (["v=spf1 -all"], "fail", "no record"),
    ],
)
def test_dmarc(records: list[str], state: str, words: str) -> None:
    check = examined({**WELL, "_dmarc.club.example": records})["DMARC club.example"]
    assert (state, True) == (check.state, words in check.found), check


def test_dmarc_of_the_domain_above_holds_for_what_lies_in_it() -> None:
    zone = {**WELL, "_dmarc.club.example": ["v=DMARC1; p=reject; sp=none; rua=mailto:a@club.example"]}
    check = examined(zone, "news.club.example")["DMARC news.club.example"]
    assert ("ok", "p=none, from club.example") == (check.state, check.found)


def test_a_name_server_that_does_not_answer_is_no_verdict() -> None:
    checks = examined({**WELL, "club.example": 2, "_dmarc.club.example": 5})
    assert {"SPF club.example": "warn", "DMARC club.example": "warn"} == {
        name: check.state for name, check in checks.items() if check.state != "ok"
    }
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        settings = DomainSettings(resolver=f"127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.3)
        assert {"warn"} == {check.state for check in examine_domain("club.example", settings)}


@pytest.mark.parametrize("resolver", ["name.example", "127.0.0.1:0", "127.0.0.1:x", "127.0.0.1:99999", "[::1]:x"])
def test_a_resolver_that_is_no_address_is_a_set_up_error(resolver: str) -> None:
    with pytest.raises(SetupError, match="resolver"):
        list(examine_domain("club.example", DomainSettings(resolver=resolver)))


# --- the one click


@contextmanager
def web(status: int, **headers: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_the_one_click_is_tried_at_the_server_itself(tmp_path: Path) -> None:
    vault = Vault(KeyFile.create(tmp_path / "key", datetime(2026, 1, 1, tzinfo=UTC)))
    store = SqlStore.open(f"sqlite:///{tmp_path}/store.db", 2)
    with inside(Settings(), store, vault) as client:
        *_, last = examine_click(str(client.base_url).rstrip("/"), 5)
        assert ("ok", []) == (last.state, store.suppressions())
    store.close()


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (302, {"Location": "/elsewhere"}, "redirects (302)"),
        (200, {}, "something else (200)"),
        (404, {}, "something else"),
    ],
)
def test_whatever_else_answers_is_no_way_out(status: int, headers: dict[str, str], words: str) -> None:
    with web(status, **headers) as url:
        checks = list(examine_click(url, 5))
    assert ["fail", "fail"] == [check.state for check in checks]
    assert "not https" in checks[0].found
    assert words in checks[1].found


def test_an_address_that_nobody_answers_at_or_that_is_too_long_is_named() -> None:
    (only,) = examine_click("", 1)
    assert "fail" == only.state
    *_, gone = examine_click("https://127.0.0.1:9", 1)
    assert ("fail", True) == (gone.state, "can't be called" in gone.found)
    long = [check for check in examine_click("https://127.0.0.1:9/" + "a" * 40, 1) if check.state == "warn"]
    assert 1 == len(long)
    assert "carriers may fold" in long[0].found


def test_the_command_asks_about_the_sender_of_the_policies_and_fails_where_something_is_wrong(tmp_path: Path) -> None:
    project = starter.create(tmp_path / "club").project
    with name_server({"example.com": ["v=spf1 -all"]}) as at, web(200) as url:
        file = project / FILE
        text = file.read_text(encoding="utf-8").replace('resolver = ""', f'resolver = "{at}"')
        file.write_text(text.replace('public_url = "https://example.com"', f'public_url = "{url}"'), encoding="utf-8")
        ran = CliRunner().invoke(app, ["--project", str(project), "--json", "doctor", "--domain"])
    told = {check["name"]: check["state"] for check in json.loads(ran.stdout)}
    assert 3 == ran.exit_code
    assert {
        "SPF example.com": "ok",
        "DKIM example.com": "fail",
        "DMARC example.com": "fail",
        "one click": "fail",
    } == told
