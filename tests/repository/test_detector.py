"""What looks over each test's shoulder (`tests/detector.py`) finds what it is there for, and records hide it."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime

import pytest
import structlog

from orchestrator.decide.member import ContactPoint, Member
from orchestrator.errors import SetupError
from orchestrator.events.types import ContactData, MemberEnrolled
from orchestrator.pipeline import Arrival
from orchestrator.testing.builders import enrolled
from tests.conftest import DETECTOR
from tests.detector import found_in

ADDRESS = "lucia.private@example.org"
NUMBER = "+34612345678"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (f"could not reach <{ADDRESS}>", ["address luc…"]),
        (f"no route to {NUMBER}, sorry", ["number +346…"]),
        ("logged in with s3cret-token", ["secret ORCHESTRATOR_X_TOKEN"]),
        ("from club@example.com at 2026-11-26T10:00:00+00:00, touch 01234567-89ab", []),
    ],
)
def test_addresses_numbers_and_secrets_are_found_and_senders_are_none(text: str, kinds: list[str]) -> None:
    assert kinds == found_in(text, {"ORCHESTRATOR_X_TOKEN": "s3cret-token", "ORCHESTRATOR_X_KEY": "", "PATH": "/bin"})


def test_it_hears_logs_their_tracebacks_structlog_and_our_errors() -> None:
    log = logging.getLogger("orchestrator.anything")
    log.debug("told %s", ADDRESS)
    try:
        raise ValueError(NUMBER)
    except ValueError:
        log.exception("failed")
    structlog.get_logger().info("told", to=ADDRESS)
    error = SetupError(f"{ADDRESS} is wrong")
    found = DETECTOR.take()
    assert [
        "address luc… in log orchestrator.anything",
        "number +346… in log orchestrator.anything",
        "address luc… in log of structlog",
        "address luc… in SetupError",
    ] == found
    assert f"{ADDRESS} is wrong" == str(error)


def test_records_hide_addresses_names_and_bodies_and_show_the_rest() -> None:
    point = ContactPoint(channel="email", address=ADDRESS, fingerprint="f1")
    member = Member(id="m1", ref="r1", given_name="Lucía", birthday=date(1990, 1, 2), contact_points=(point,))
    data = MemberEnrolled(given_name="Lucía", contact_points=(ContactData(channel="sms", address=NUMBER),))
    event = enrolled("m1", datetime(2026, 11, 26, tzinfo=UTC))
    arrival = Arrival(at=1, raw=ADDRESS.encode(), event=event)
    shown = repr((point, member, data, event, arrival))
    assert not [word for word in (ADDRESS, NUMBER, "Lucía", "1990", "@") if word in shown]
    assert "address=***" in repr(point)
    assert "channel='email'" in repr(point)
    assert "given_name=''" in repr(Member(id="m1", ref="r1"))
