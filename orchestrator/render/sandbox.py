"""The sandbox: templates and expressions that marketers write, compiled once, run without reach and within bounds.

Values are plain data: text, numbers, dates, lists, and fields of dicts and of our own records. Nothing can be called.
What Jinja's own sandbox leaves open (time and memory) is bounded by counting: see `limits.py`, `language.py` and
`filters/`. The same expressions serve journeys' `where` and `audience`, and the mappings of ingest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, time
from functools import lru_cache
from types import CodeType, TracebackType
from typing import Any, NamedTuple

from jinja2 import TemplateSyntaxError, nodes
from jinja2.exceptions import TemplateError, UndefinedError
from jinja2.parser import Parser
from jinja2.runtime import LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from markupsafe import escape
from msgspec import Struct

from orchestrator.render import filters
from orchestrator.render.contract import RenderError
from orchestrator.render.frame import Frame
from orchestrator.render.language import RESULT, Bounding, Fault, Generator, faults, fields
from orchestrator.render.limits import LIMITS, Refusal
from orchestrator.render.missing import Missing, present

_LOOP_FIELDS = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length"})
_DATE_FIELDS = frozenset({"year", "month", "day", "hour", "minute"})
_TO_ESCAPE = re.compile("[&<>'\"]")
Root = Callable[[Frame], Iterator[str]]


class Code(NamedTuple):
    """What a source was compiled to."""

    root: Root
    # generated line → source line
    lines: dict[int, int]


class Rejected(RenderError):
    """A source that does not compile. Holds all faults found, with the lines of the source that was given."""

    def __init__(self, found: list[Fault]) -> None:
        self.faults = found
        super().__init__("; ".join(f"line {fault.line}: {fault.what}" for fault in found))


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of all templates and expressions. Holds no data and no globals."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    code_generator_class = Generator

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(
            undefined=Missing, autoescape=autoescape, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
        )
        self.globals.clear()
        self.filters = dict(filters.FILTERS)
        self.tests = dict(filters.TESTS)

    def field(self, of: object, name: str, path: str) -> object:
        """A field of plain data; what else an object may have is not there for templates."""
        if of.__class__ is dict or isinstance(of, Mapping):
            value = of.get(name, missing)
            if value is not missing:
                return value
        elif isinstance(of, Struct):
            if name in of.__struct_fields__:
                return getattr(of, name)
        elif isinstance(of, Missing):
            of.fail()
        elif (isinstance(of, LoopContext) and name in _LOOP_FIELDS) or (
            isinstance(of, date | time) and name in _DATE_FIELDS and hasattr(of, name)
        ):
            return getattr(of, name)
        return Missing(hint=f"{path} is not known here", name=name)

    def soft_field(self, of: object, name: str, path: str) -> object:
        """As `field`, but a field of what is missing is missing too."""
        return of if isinstance(of, Undefined) else self.field(of, name, path)

    def escaped(self, value: object) -> str:
        """HTML of what is put out, as `markupsafe.escape` writes it: most of it has nothing to escape."""
        if value.__class__ is str and _TO_ESCAPE.search(value) is None:
            return value
        return escape(value)

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ARG002  # Jinja's own signature
        """Not offered: our generator writes `field`."""
        raise Refusal("this way to reach a field is not offered")

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item of a list, or an entry of a dict, chosen by a computed key."""
        obj, argument = present(obj), present(argument)
        if isinstance(obj, list | tuple | str) and isinstance(argument, int):
            if -len(obj) <= argument < len(obj):
                return obj[argument]
        elif isinstance(obj, Mapping) and isinstance(argument, str | int):
            value = obj.get(argument, missing)
            if value is not missing:
                return value
        return Missing(hint="an item chosen with [ ] is not there")

    def call(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG002  # Jinja's own signature
        """Nothing is called from a template."""
        raise Refusal("calls are not offered")

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic within bounds; `+` also joins two texts or two lists."""
        left, right = present(left), present(right)
        if isinstance(left, int | float) and isinstance(right, int | float):
            return _arithmetic(operator, left, right, self.binop_table)
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            context.text(len(left) + len(right))
            return left + right
        if operator == "+" and isinstance(left, list) and isinstance(right, list):
            context.weigh([left, right])
            return left + right
        kinds = f"{type(left).__name__} {operator} {type(right).__name__}"
        raise Refusal(f"{kinds} is not offered; numbers are calculated with, texts are joined with ~")

    def code(self, tree: nodes.Template, filename: str) -> Code:
        """The function of a checked tree."""
        try:
            code = self.compile(Bounding().visit(tree), None, filename)
        except (TemplateError, SyntaxError, RecursionError, MemoryError, ValueError, OverflowError) as error:
            line = error.lineno if isinstance(error, TemplateSyntaxError) else 1
            what = str(error.message) if isinstance(error, TemplateSyntaxError) else "too large or too deep to compile"
            raise Rejected([Fault(line or 1, what)]) from None
        if not isinstance(code, CodeType):  # pragma: no cover - compile gives text only when asked for it
            raise TypeError(code)
        template = self.template_class.from_code(self, code, {})
        lines = {generated: source for source, generated in template.debug_info}
        return Code(template.root_render_func, lines)  # type: ignore[arg-type]  # typed for Jinja's own Context

    def tree(self, source: str) -> nodes.Template:
        """The checked tree of a template; raises Rejected with every fault found."""
        return self._checked(source, LIMITS.source, lambda: self.parse(source))

    def expression_tree(self, source: str) -> nodes.Template:
        """The checked tree of one expression, as a template that hands its value to the frame."""

        def parse() -> nodes.Template:
            parser = Parser(self, source, state="variable")
            value = parser.parse_expression()
            if not parser.stream.eos:
                raise TemplateSyntaxError("there is more after the expression", parser.stream.current.lineno)
            taken = nodes.Filter(value, RESULT, [], [], None, None, lineno=1)
            return nodes.Template([nodes.ExprStmt(taken, lineno=1)], lineno=1).set_environment(self)  # type: ignore[return-value]  # it gives itself

        return self._checked(source, LIMITS.expression, parse, ours=frozenset({RESULT}))

    def _checked(
        self, source: str, limit: int, parse: Callable[[], nodes.Template], ours: frozenset[str] = frozenset()
    ) -> nodes.Template:
        if len(source) > limit:
            raise Rejected([Fault(1, f"longer than {limit} characters")])
        try:
            tree = parse()
        except TemplateSyntaxError as error:
            raise Rejected([Fault(error.lineno or 1, error.message or "syntax error")]) from None
        except (TemplateError, RecursionError, ValueError, OverflowError, MemoryError):
            raise Rejected([Fault(1, "can't be read: nested too deep, or a number too large")]) from None
        checked = tree.body[0].node.node if ours else tree  # type: ignore[attr-defined]  # the statement made above
        if found := faults(checked, filters.OFFERED, filters.TESTS):
            raise Rejected(found)
        return tree


def _arithmetic(operator: str, left: float, right: float, table: Mapping[str, Callable[..., Any]]) -> float:
    if operator == "**" and (abs(left) > 10**6 or abs(right) > 16):
        raise Refusal("a power is limited to bases of a million and exponents of 16")
    try:
        value = table[operator](left, right)
    except ZeroDivisionError:
        raise Refusal("division by zero") from None
    except OverflowError:
        raise Refusal("a number becomes too large") from None
    if isinstance(value, complex) or not math.isfinite(value) or abs(value) > LIMITS.number:
        raise Refusal("a number becomes too large")
    return value  # type: ignore[no-any-return]  # int or float, as just checked


def reason(error: Exception) -> str:
    """What went wrong, in words that hold no value of the data."""
    if isinstance(error, Refusal):
        return str(error)
    if isinstance(error, UndefinedError):
        return str(error.message)
    if isinstance(error, TypeError):
        return "a value is of a kind that does not fit here"
    return f"{type(error).__name__} while rendering"


def generated_line(trace: TracebackType | None, filename: str) -> int:
    """The innermost line of generated code that an error passed through; 0 when it passed through none."""
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


TEXT = Sandbox(autoescape=False)
HTML = Sandbox(autoescape=True)


# projects of one process share most of their templates, and so does one that is read again
@lru_cache(maxsize=2_048)
def read(sandbox: Sandbox, source: str) -> frozenset[str]:
    """The dotted paths that a template reads. Raises Rejected with every fault found."""
    return fields(sandbox.tree(source))


@lru_cache(maxsize=2_048)
def compiled(sandbox: Sandbox, source: str, filename: str) -> Code:
    """The code of a template that was found sound; `filename` is the name of its frames in a traceback."""
    return sandbox.code(sandbox.tree(source), filename)


_RAISE: Any = object()


class Expression:
    """A compiled expression: call it with the data, get its value. Frozen in effect; holds no state of a call."""

    __slots__ = ("_missing", "_root", "fields", "source")

    def __init__(self, source: str, missing_value: object) -> None:
        tree = TEXT.expression_tree(source)
        self.source = source
        # dotted paths it reads: {"event.amount"}
        self.fields: frozenset[str] = fields(tree)
        self._missing = missing_value
        self._root = TEXT.code(tree, "<expression>").root

    def __call__(self, data: Mapping[str, object]) -> object:
        """The value for this data. Raises RenderError that names the expression and the field, never a value."""
        frame = Frame(data, "en", LIMITS.steps, LIMITS.built)
        try:
            for _ in self._root(frame):
                pass
        except UndefinedError as error:
            if self._missing is not _RAISE:
                return self._missing
            raise RenderError(f"expression {self.source!r}: {reason(error)}") from None
        except Exception as error:  # noqa: BLE001  # whatever a source may do ends as this one error
            raise RenderError(f"expression {self.source!r}: {reason(error)}") from None
        return frame.value

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


def compile_expression(source: str, *, missing: object = _RAISE) -> Expression:
    """`event.amount >= 500` as a function of a mapping; `missing` is the value where a field is not there.

    Without `missing`, a field that is not there raises RenderError at the call. Raises Rejected, with what is wrong,
    for a source that is not an expression of the sandbox.
    """
    return Expression(source, missing)


__all__ = ["HTML", "TEXT", "Expression", "Rejected", "Sandbox", "compile_expression"]
