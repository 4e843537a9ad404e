"""How a filter is offered to authors, and how the values that they are given are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import pass_context
from msgspec import Struct

from orchestrator.render.frame import Frame
from orchestrator.render.limits import Refusal
from orchestrator.render.missing import present

Filter = Callable[..., Any]
FILTERS: dict[str, Filter] = {}
TESTS: dict[str, Filter] = {}


def offer(*names: str) -> Callable[[Filter], Filter]:
    """Registers `f(frame, value, …)` under these names; missing values are refused before it is called."""

    def register(function: Filter) -> Filter:
        @pass_context
        def guarded(frame: Frame, value: object, *args: object, **kwargs: object) -> object:
            if not args and not kwargs:
                return function(frame, present(value))
            given = {name: present(argument) for name, argument in kwargs.items()}
            try:
                return function(frame, present(value), *map(present, args), **given)
            except TypeError:
                raise Refusal(f"{names[0]} is given arguments that it does not take") from None

        for name in names:
            FILTERS[name] = guarded
        return function

    return register


def text_of(value: object) -> str:
    """Text or number as text; raises Refusal for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal(f"a text is needed here, not {kind_of(value)}")
    return str(value)


def kind_of(value: object) -> str:
    """What a value is, as refusals name it."""
    return "nothing (None)" if value is None else type(value).__name__


def whole_of(value: object, low: int, high: int, name: str) -> int:
    """A whole number within these bounds; raises Refusal, by `name`, for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Refusal(f"{name} must be a whole number from {low} to {high}")
    return value


def number_of(value: object) -> int | float:
    """A number; raises Refusal for anything else, be it a truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal(f"a number is needed here, not {kind_of(value)}")
    return value


def list_of(frame: Frame, value: object) -> list[Any]:
    """The items, or keys, announced to the frame; raises Refusal for what has none."""
    if not isinstance(value, list | tuple | dict):
        raise Refusal(f"a list is needed here, not {kind_of(value)}")
    frame.items(len(value))
    return list(value)


def dig(item: object, path: object) -> object:
    """The field of an item, "a.b" of a field of it; raises Refusal where there is none."""
    for name in text_of(path).split("."):
        if isinstance(item, Mapping) and name in item:
            item = item[name]
        elif isinstance(item, Struct) and name in item.__struct_fields__:
            item = getattr(item, name)
        else:
            raise Refusal("an item has no such field")
    return item
