"""What a compiled template sees while it runs: the data, its own variables, and the budget it uses up.

It stands where Jinja's `Context` stands and offers only what our generated code asks of it. Jinja's globals are not
reachable from it, and no method of it from a template.
"""

from __future__ import annotations

from collections.abc import Mapping

from jinja2.utils import missing
from msgspec import Struct, field

from orchestrator.render.limits import LIMITS, Refusal


class Frame(Struct):
    """One rendering. Not shared, not kept."""

    data: Mapping[str, object]
    # that numbers and dates are written in
    locale: str
    # what is left of the budget, as in `limits`
    steps: int
    built: int
    # the template's own variables, as Jinja keeps them
    vars: dict[str, object] = field(default_factory=dict)
    exported_vars: set[str] = field(default_factory=set)
    # of an expression
    value: object = None

    def resolve_or_missing(self, name: str) -> object:
        """The named datum, or Jinja's marker of absence."""
        return self.data.get(name, missing)

    def step(self, count: int) -> None:
        """Uses up so many steps; raises Refusal when none are left."""
        self.steps -= count
        if self.steps < 0:
            raise Refusal(f"it takes more than {LIMITS.steps} steps; shorten its loops")

    def text(self, size: int) -> None:
        """Announces a text of so many characters before it is built; raises Refusal when that is too many."""
        if size > LIMITS.text:
            raise Refusal(f"a text would be longer than {LIMITS.text} characters")
        self.built -= size
        if self.built < 0:
            raise Refusal(f"more than {LIMITS.built} characters would be built")

    def weigh(self, value: object) -> None:
        """Counts all that a list or dict holds, also in lists within it; raises Refusal when that is too much."""
        waiting, count = [value], 0
        while waiting:
            held = waiting.pop()
            inner = held.values() if isinstance(held, dict) else held if isinstance(held, list | tuple) else ()
            count += len(inner)
            if count > LIMITS.items:
                raise Refusal(f"a list would hold more than {LIMITS.items} items")
            waiting.extend(inner)
        self.step(count)

    def items(self, count: int) -> None:
        """Announces a list of so many items; raises Refusal when that is too many."""
        if count > LIMITS.items:
            raise Refusal(f"a list would have more than {LIMITS.items} items")
        self.step(count)
