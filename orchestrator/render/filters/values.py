"""Filters of single values: a fallback where there is none, numbers, buckets."""

from __future__ import annotations

import hashlib
import math
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Undefined

from orchestrator.render.filters.offering import FILTERS, number_of, offer, text_of, whole_of
from orchestrator.render.frame import Frame
from orchestrator.render.limits import LIMITS
from orchestrator.render.missing import present


@pass_context
def _default(_frame: Frame, value: object, fallback: object = "") -> object:
    """The fallback where the value is missing, None or empty text."""
    return present(fallback) if isinstance(value, Undefined) or value is None or value == "" else value


FILTERS |= {"default": _default, "d": _default}


@offer("abs")
def _abs(_frame: Frame, value: object) -> int | float:
    return abs(number_of(value))


@offer("round")
def _round(_frame: Frame, value: object, digits: object = 0) -> int | float:
    """Rounded half to even; without digits a whole number."""
    places = whole_of(digits, 0, 6, "digits")
    return round(number_of(value), places) if places else round(number_of(value))


@offer("int")
def _int(_frame: Frame, value: object, fallback: object = 0) -> object:
    return _read_number(value, int, fallback)


@offer("float")
def _float(_frame: Frame, value: object, fallback: object = 0.0) -> object:
    return _read_number(value, float, fallback)


def _read_number(value: Any, kind: type[int | float], fallback: object) -> object:
    if isinstance(value, str) and len(value) > 30:
        return fallback
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        return fallback
    return number if math.isfinite(number) and abs(number) <= LIMITS.number else fallback


@offer("bucket")
def _bucket(_frame: Frame, value: object, n: object, salt: object = "") -> int:
    """A stable number from 0 to n-1 for a value: the same on every machine, in every year; other salt, other split."""
    parts = whole_of(n, 1, 1_000_000, "bucket")
    digest = hashlib.blake2b(f"{text_of(salt)}\0{text_of(value)}".encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % parts
