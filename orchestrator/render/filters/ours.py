"""What the rewriting of `render/language.py` leads through us; no author may name it."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Undefined

from orchestrator.render.filters.offering import FILTERS, Filter, kind_of, text_of
from orchestrator.render.frame import Frame
from orchestrator.render.language import CONCAT, LOOP, PUT, RESULT, WEIGH
from orchestrator.render.limits import Refusal
from orchestrator.render.missing import present


@pass_context
def _loop(frame: Frame, value: object, weight: int, label: str) -> list[Any]:
    value = present(value)
    if not isinstance(value, list | tuple | dict):
        raise Refusal(f"{label} can't be looped over: it is {kind_of(value)}, not a list")
    frame.step(len(value) * weight)
    return list(value)


@pass_context
def _concatenate(frame: Frame, *values: object) -> str:
    parts = [text_of(present(value)) for value in values]
    frame.text(sum(map(len, parts)))
    return "".join(parts)


@pass_context
def _put(_frame: Frame, value: object, label: str) -> object:
    if value.__class__ is str or value.__class__ is int:
        return value
    present(value)
    if isinstance(value, Undefined):
        return ""
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, date):
        raise Refusal(f"{label} is a date: say how to write it, as in {{{{ {label}|date }}}}")
    raise Refusal(f"{label} is {kind_of(value)} and can't be written; give it a default, as in |default('…')")


@pass_context
def _result(frame: Frame, value: object) -> None:
    frame.value = present(value)


@pass_context
def _weigh(frame: Frame, value: object) -> object:
    frame.weigh(value)
    return value


OURS: dict[str, Filter] = {LOOP: _loop, CONCAT: _concatenate, PUT: _put, RESULT: _result, WEIGH: _weigh}
FILTERS |= OURS
