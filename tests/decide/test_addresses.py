"""Addresses as they are kept, beside what others say of the same ones; the figures are those of README's table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.content.tables import disposable
from orchestrator.decide.addresses import read_address


def rows(path: Path) -> list[dict[str, str]]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# an address of the root zone itself: right by the RFC, and nobody has one
NO_POINT = {"test@io"}


def test_by_the_rfcs_vectors(reference_data: Path) -> None:
    """87 of 88 clear verdicts agree; what lies between (76: quoted, literal, obsolete) is refused, as a policy."""
    given = rows(reference_data / "data/email-addresses/rfc-vectors.jsonl")
    kept = {row["address"] for row in given if read_address("email", row["address"], "") is not None}
    clear = [row for row in given if row["verdict"] in ("valid", "invalid")]
    other = {row["address"] for row in clear if (row["verdict"] == "valid") != (row["address"] in kept)}
    assert (88, NO_POINT) == (len(clear), other)
    assert set() == kept & {row["address"] for row in given if row["verdict"] in ("valid-unusual", "not-for-smtp")}


def test_by_the_vectors_of_addresses_in_use(reference_data: Path) -> None:
    """106 of 125 as that project's own plain reading, the rest by policy: each kind of them is named here."""
    given = rows(reference_data / "data/email-addresses/modern-vectors.jsonl")
    other = set()
    for row in given:
        found = read_address("email", row["address"], "")
        if row["verdict"] == "valid" and found is not None:
            assert row["normalized"] == found.text
        if (row["verdict"] == "valid") != (found is not None):
            other.add(row["address"])
    quoted = {address for address in other if '"' in address}
    named = {address for address in other if "<" in address}
    # neither a quoted local part nor a name before the address belongs into a member's record
    assert set() == other - quoted - named
    assert (125, 8) == (len(given), len(other))


def test_by_the_examples_of_every_country(reference_data: Path) -> None:
    """All 1,148 numbers agree in validity, form, line type and region with the tables that the data were made with."""
    given = rows(reference_data / "data/phone-numbers/examples.csv")
    wrong = []
    for row in given:
        found = read_address("sms", row["e164"], "")
        expected = (row["e164"], row["resolved_region"], row["resolved_type"].lower())
        if (found is not None) != (row["valid"] == "1") or (
            found is not None and expected != (found.text, found.country, found.kind)
        ):
            wrong.append(row["e164"])
    assert (1_148, []) == (len(given), wrong)


def test_short_codes_are_nobodys_number(reference_data: Path) -> None:
    """1,401 of 1,402; Germany's 227700 is also a number that Berlin's plan allows."""
    given = rows(reference_data / "data/phone-numbers/short-codes.csv")
    taken = [row["number"] for row in given if read_address("sms", row["number"], row["region"]) is not None]
    assert (1_402, ["227700"]) == (len(given), taken)


@pytest.mark.parametrize(
    ("address", "country", "text", "lives", "kind"),
    [
        ("+34 612 34 56 78", "", "+34612345678", "ES", "mobile"),
        ("612345678", "ES", "+34612345678", "ES", "mobile"),
        ("910 123 456", "ES", "+34910123456", "ES", "fixed_line"),
        ("701234567", "ES", "+34701234567", "ES", "personal_number"),
        ("(212) 555-0123", "US", "+12125550123", "US", "fixed_line_or_mobile"),
        # shapes of before: WhatsApp still tells them
        ("+5215512345678", "", "+525512345678", "MX", "fixed_line_or_mobile"),
        ("+551187654321", "", "+5511987654321", "BR", "mobile"),
        ("11 8765-4321", "BR", "+5511987654321", "BR", "mobile"),
        ("+551123456789", "", "+551123456789", "BR", "fixed_line"),
        ("+54 9 11 2345-6789", "", "+5491123456789", "AR", "mobile"),
    ],
)
def test_a_number_is_kept_in_one_form_with_its_line(
    address: str, country: str, text: str, lives: str, kind: str
) -> None:
    for channel in ("sms", "whatsapp", "phone"):
        found = read_address(channel, address, country)
        assert found is not None
        assert (text, lives, kind) == (found.text, found.country, found.kind)
        assert text not in repr(found)


@pytest.mark.parametrize(("address", "country"), [("612345678", ""), ("12", "ES"), ("+5521", ""), ("call me", "ES")])
def test_what_is_no_number_is_none(address: str, country: str) -> None:
    assert read_address("sms", address, country) is None


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("ana@example.com", ""),
        ("info@example.com", "role"),
        ("Sales+spring@example.com", "role"),
        ("contacto@example.com", "role"),
        ("atendimento@example.com", "role"),
        ("informa@example.com", ""),
        ("ana@mailinator.com", "disposable"),
        ("ana@box.Mailinator.com", "disposable"),
        ("info@mailinator.com", "disposable"),
        ("ana@mailinator.example", ""),
    ],
)
def test_a_desks_address_and_one_to_throw_away_are_known_as_such(address: str, kind: str) -> None:
    found = read_address("email", address, "", disposable())
    assert found is not None
    assert kind == found.kind


def test_the_house_addresses_of_large_providers_are_not_on_the_list() -> None:
    providers = (
        "gmail.com outlook.com hotmail.com yahoo.com icloud.com gmx.net web.de uol.com.br terra.com telefonica.net"
    )
    assert [] == [domain for domain in providers.split() if domain in disposable()]
    assert 5_000 < len(disposable())


_LOCALS = st.one_of(
    st.text(alphabet="ab0.+_-", min_size=1, max_size=8),
    st.text(alphabet="aB.'é\"( @", min_size=1, max_size=6),
    st.sampled_from(["postmaster", "Info", "a" * 64, "a" * 65, "a.b" * 21]),
)
_DOMAINS = st.one_of(
    st.sampled_from(
        ["gmail.com", "Gmail.com", "xn--mnchen-3ya.de", "münchen.de", "a.test", "localhost", "com", "b.c_d.org"]
        + ["-a.com", "a-.com", "a..com", ".com", "a.com.", "1.2", "[1.2.3.4]", f"{'a' * 63}.com", f"{'a' * 64}.com"]
        + [f"{'.'.join(['abcdefghi'] * length)}.com" for length in (18, 24, 25)]
    ),
    st.text(alphabet="ab1-.", min_size=1, max_size=8),
)


@given(_LOCALS, _DOMAINS)
@settings(max_examples=600, deadline=None)
def test_the_short_way_for_plain_addresses_comes_to_the_same(local: str, domain: str) -> None:
    address = f"{local}@{domain}"
    try:
        kept: str | None = validate_email(address, check_deliverability=False, strict=True).normalized
    except EmailNotValidError:
        kept = None
    read = read_address("email", address, "")
    assert kept == (None if read is None else read.text)
