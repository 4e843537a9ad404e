"""Addresses as they are kept: e-mail normalised, numbers in E.164, each with what is to be known of its kind.

A role address is one that a desk reads and no person: RFC 2142's names, and their like in the languages of our texts.
"""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from msgspec import Struct
from phonenumbers import PhoneNumberType

from orchestrator.decide.member import Kind

# WhatsApp's business-scoped ids: the alpha-2 country of the number that they stand for, then digits; one of a parent
# business has ENT between (developers.facebook.com, business-scoped user ids, read 2026-11-26)
_USER_ID = re.compile(r"([A-Z]{2})\.(?:ENT\.)?[0-9]{5,30}")
# an address without anything that could be written in another way
_PLAIN = re.compile(r"([a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*)@([a-z0-9.-]+)")
# characters of a local part, and of an address, at most
_LOCAL, _EMAIL = 64, 254
PHONE_CHANNELS = frozenset({"sms", "whatsapp", "phone"})
_LINES: dict[int, Kind] = {
    PhoneNumberType.FIXED_LINE: "fixed_line",
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "fixed_line_or_mobile",
    PhoneNumberType.TOLL_FREE: "toll_free",
    PhoneNumberType.PREMIUM_RATE: "premium_rate",
    PhoneNumberType.SHARED_COST: "shared_cost",
    PhoneNumberType.VOIP: "voip",
    PhoneNumberType.PERSONAL_NUMBER: "personal_number",
    PhoneNumberType.PAGER: "pager",
    PhoneNumberType.UAN: "uan",
    PhoneNumberType.VOICEMAIL: "voicemail",
}
# RFC 2142 (https://www.rfc-editor.org/rfc/rfc2142), then what shops and offices use in English, Spanish and Portuguese
_ROLES = """
    info marketing sales support abuse noc security postmaster hostmaster usenet news webmaster www uucp ftp
    admin administrator billing careers contact enquiries feedback hello help helpdesk hr inquiries jobs mail
    mailer-daemon no-reply noreply office orders press privacy recruitment reservations root service shop
    staff team administracion administracao atencion atendimento ayuda ajuda clientes comercial compras
    contabilidad contabilidade contacto contato correo facturacion faturacao geral hola ola oficina pedidos
    prensa recepcion rececao reservas secretaria soporte suporte tienda loja ventas vendas
"""
ROLES = frozenset(_ROLES.split())
# shapes that WhatsApp and old data still tell: Mexican mobiles with the 1 that was dropped in 2019, Brazilian mobiles
# without the ninth digit (landlines begin with 2 to 5)
_OLD_SHAPES = (
    (re.compile(r"\+521(\d{10})"), r"+52\1"),
    (re.compile(r"\+55(\d{2})([6-9]\d{7})"), r"+55\g<1>9\2"),
)


class Address(Struct, frozen=True):
    """An address that something can be sent to, by its form."""

    # E.164, or the normalised e-mail address
    text: str
    # alpha-2 country of a number's prefix
    country: str = ""
    kind: Kind = ""

    def __repr__(self) -> str:
        """Without the address."""
        return f"Address(country={self.country!r}, kind={self.kind!r})"


# the same event is read for what it needs and again as it is applied
@lru_cache(maxsize=256)
def read_address(channel: str, address: str, country: str, disposable: frozenset[str] = frozenset()) -> Address | None:
    """The address as it is kept; None when nothing can ever be sent there. A national number is read with `country`.

    On WhatsApp a business-scoped user id is one too: who hides the number is known by it alone.

    E-mail is valid by email-validator's reading of what is in use today: no quoted local parts, no address literals, no
    comments, no names before it, at most 64 characters before the @, a domain with a point that is not set aside
    (`.test`, `.invalid`). Nothing is looked up.
    """
    if channel == "whatsapp" and (named := _USER_ID.fullmatch(address.strip())):
        return Address(named[0], country=named[1])
    if channel in PHONE_CHANNELS:
        return _number(address, country)
    if channel != "email":
        return Address(address.strip())
    read = _email(address)
    if read is None:
        return None
    local, domain = read
    kind: Kind = "role" if local.lower().partition("+")[0] in ROLES else ""
    return Address(f"{local}@{domain}", kind="disposable" if _thrown_away(domain, disposable) else kind)


def _email(text: str) -> tuple[str, str] | None:
    """The local part and the domain of an e-mail address, normalised; None where it is none."""
    plain = _PLAIN.fullmatch(text)
    if plain and len(plain[1]) <= _LOCAL and len(text) <= _EMAIL and _is_plain(plain[2]):
        return plain[1], plain[2]
    try:
        checked = validate_email(text, check_deliverability=False, strict=True)
    except EmailNotValidError:
        return None
    return checked.local_part, checked.domain


# most members have their address at one of few domains
@lru_cache(maxsize=4_096)
def _is_plain(domain: str) -> bool:
    """Whether an address there is kept as it is written, whatever plain local part it has."""
    try:
        checked = validate_email(f"a@{domain}", check_deliverability=False, strict=True)
    except EmailNotValidError:
        return False
    return checked.domain == checked.ascii_domain == domain


def _number(text: str, country: str) -> Address | None:
    try:
        number = phonenumbers.parse(text, country or None)
    except phonenumbers.NumberParseException:
        return None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_valid_number(number):
        newer = next((new for old, shape in _OLD_SHAPES if (new := old.sub(shape, e164)) != e164), None)
        return None if newer is None else _number(newer, "")
    line = _LINES.get(phonenumbers.number_type(number), "unknown")
    return Address(e164, phonenumbers.region_code_for_number(number) or "", line)


def _thrown_away(domain: str, disposable: frozenset[str]) -> bool:
    """Whether the domain, or one that it lies in, is on the list."""
    labels = domain.lower().split(".")
    return any(".".join(labels[i:]) in disposable for i in range(len(labels) - 1))
