"""Filters of lists."""

from __future__ import annotations

from typing import Any

from orchestrator.render.filters.offering import dig, kind_of, list_of, number_of, offer, text_of
from orchestrator.render.frame import Frame
from orchestrator.render.limits import Refusal


@offer("length", "count")
def _length(_frame: Frame, value: object) -> int:
    if not isinstance(value, str | list | tuple | dict):
        raise Refusal(f"length is asked of {kind_of(value)}")
    return len(value)


@offer("first")
def _first(frame: Frame, value: object) -> object:
    return next(iter(list_of(frame, value)), None)


@offer("last")
def _last(frame: Frame, value: object) -> object:
    return next(iter(reversed(list_of(frame, value))), None)


@offer("list")
def _as_list(frame: Frame, value: object) -> list[Any]:
    return list_of(frame, value)


@offer("items")
def _items(frame: Frame, value: object) -> list[Any]:
    if not isinstance(value, dict):
        raise Refusal(f"items are asked of {kind_of(value)}")
    frame.items(len(value))
    return list(value.items())


@offer("join")
def _join(frame: Frame, value: object, separator: object = "", attribute: object = None) -> str:
    items = list_of(frame, value)
    parts = [text_of(dig(item, attribute) if attribute is not None else item) for item in items]
    between = text_of(separator)
    frame.text(sum(map(len, parts)) + len(between) * len(parts))
    return between.join(parts)


@offer("map")
def _map(frame: Frame, value: object, attribute: object) -> list[Any]:
    return [dig(item, attribute) for item in list_of(frame, value)]


@offer("selectattr")
def _selectattr(frame: Frame, value: object, attribute: object, *equal: object) -> list[Any]:
    """Items whose field is truthy, or equal to the given value."""
    return [item for item in list_of(frame, value) if _matches(dig(item, attribute), equal)]


@offer("rejectattr")
def _rejectattr(frame: Frame, value: object, attribute: object, *equal: object) -> list[Any]:
    return [item for item in list_of(frame, value) if not _matches(dig(item, attribute), equal)]


def _matches(value: object, equal: tuple[object, ...]) -> bool:
    return value == equal[0] if equal else bool(value)


@offer("sort")
def _sort(frame: Frame, value: object, attribute: object = None, reverse: object = False) -> list[Any]:
    items = list_of(frame, value)
    try:
        keys: list[Any] = items if attribute is None else [dig(item, attribute) for item in items]
        order = sorted(range(len(items)), key=keys.__getitem__, reverse=bool(reverse))
        return [items[i] for i in order]
    except TypeError:
        raise Refusal("sort is given values that have no common order") from None


@offer("reverse")
def _reverse(frame: Frame, value: object) -> list[Any]:
    return list_of(frame, value)[::-1]


@offer("unique")
def _unique(frame: Frame, value: object) -> list[Any]:
    try:
        return list(dict.fromkeys(list_of(frame, value)))
    except TypeError:
        raise Refusal("unique is given values that can't be compared") from None


@offer("sum")
def _sum(frame: Frame, value: object, attribute: object = None) -> int | float:
    items = list_of(frame, value)
    return sum(number_of(dig(item, attribute) if attribute is not None else item) for item in items)


@offer("min")
def _min(frame: Frame, value: object) -> object:
    return _sort(frame, value)[0] if value else None


@offer("max")
def _max(frame: Frame, value: object) -> object:
    return _sort(frame, value)[-1] if value else None
