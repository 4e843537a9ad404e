"""Tests: what may stand after `is`."""

from __future__ import annotations

from collections.abc import Callable

from jinja2.runtime import Undefined

from orchestrator.render.filters.offering import TESTS, number_of, whole_of
from orchestrator.render.limits import LIMITS, Refusal
from orchestrator.render.missing import present


def _test(*names: str) -> Callable[[Callable[..., bool]], Callable[..., bool]]:
    def register(function: Callable[..., bool]) -> Callable[..., bool]:
        def guarded(value: object, *args: object) -> bool:
            try:
                return function(present(value), *map(present, args))
            except TypeError:
                raise Refusal(f"the test {names[0]} does not fit this value") from None

        TESTS.update(dict.fromkeys(names, guarded))
        return function

    return register


TESTS["defined"] = lambda value: not isinstance(value, Undefined)
TESTS["undefined"] = lambda value: isinstance(value, Undefined)
_test("none")(lambda value: value is None)
_test("true")(lambda value: value is True)
_test("false")(lambda value: value is False)
_test("boolean")(lambda value: isinstance(value, bool))
_test("string")(lambda value: isinstance(value, str))
_test("number")(lambda value: isinstance(value, int | float) and not isinstance(value, bool))
_test("integer")(lambda value: isinstance(value, int) and not isinstance(value, bool))
_test("mapping")(lambda value: isinstance(value, dict))
_test("sequence")(lambda value: isinstance(value, list | tuple))
_test("even")(lambda value: number_of(value) % 2 == 0)
_test("odd")(lambda value: number_of(value) % 2 == 1)
_test("divisibleby")(lambda value, by: number_of(value) % whole_of(by, 1, LIMITS.number, "divisibleby") == 0)
_test("in")(lambda value, container: value in container)
_test("eq", "equalto", "==")(lambda value, other: value == other)
_test("ne", "!=")(lambda value, other: value != other)
_test("gt", "greaterthan", ">")(lambda value, other: value > other)
_test("ge", ">=")(lambda value, other: value >= other)
_test("lt", "lessthan", "<")(lambda value, other: value < other)
_test("le", "<=")(lambda value, other: value <= other)
