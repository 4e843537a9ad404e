"""Numbers as WhatsApp writes them, and as everyone else does. Pure."""

from __future__ import annotations

import re

import phonenumbers

_E164 = re.compile(r"\+[1-9]\d{6,14}")
# WhatsApp's business-scoped ids: country, then digits; one of a parent business has ENT between
_USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?\d{5,30}")


def is_number(text: str) -> bool:
    """Whether this is written as E.164 asks: a plus and 7 to 15 digits."""
    return _E164.fullmatch(text) is not None


def is_user_id(text: str) -> bool:
    """Whether this is a business-scoped user id, such as `MX.13491208655302741918`."""
    return _USER_ID.fullmatch(text) is not None


def canonical(wa_id: str) -> str:
    """The E.164 number of a WhatsApp id (digits, with or without a plus), "" where it is none.

    Old Mexican ids have a 1 after 52, and Brazilian ones lack the ninth digit of mobiles: number plans know neither.
    """
    digits = wa_id.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        return ""
    for form in _forms(digits):
        number = f"+{form}"
        try:
            if is_number(number) and phonenumbers.is_valid_number(phonenumbers.parse(number)):
                return number
        except phonenumbers.NumberParseException:
            continue
    return f"+{digits}" if is_number(f"+{digits}") else ""


def _forms(digits: str) -> tuple[str, ...]:
    if digits.startswith("521") and len(digits) == 13:
        return f"52{digits[3:]}", digits
    if digits.startswith("55") and len(digits) == 12:
        return digits, f"{digits[:4]}9{digits[4:]}"
    return (digits,)
