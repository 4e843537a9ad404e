"""How much one rendering may cost. Counted, never timed, so that the same template fails or passes on any machine."""

from __future__ import annotations

from msgspec import Struct


class Refusal(Exception):
    """The sandbox does not do this. Its text names fields and bounds, never a value: it may be shown and logged."""


class Limits(Struct, frozen=True, kw_only=True):
    """The bounds of one template and of one rendering."""

    # characters of one template's source, layout included
    source: int = 200_000
    # characters of one expression's source
    expression: int = 2_000
    # a loop costs, for each item, one step for each node of its body; filters over lists cost one step an item
    steps: int = 100_000
    # characters in all that filters, `~` and `+` may build
    built: int = 2_000_000
    # characters of any one text on the way
    text: int = 50_000
    # items of any one list on the way
    items: int = 10_000
    # characters of the result
    output: int = 400_000
    # nesting of expressions and blocks, and of loops
    depth: int = 50
    loops: int = 6
    # absolute value of any whole number that arithmetic may give
    number: int = 10**18


LIMITS = Limits()
