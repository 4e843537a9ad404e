"""The part of Jinja that templates and expressions may use: an allowlist of syntax, and the rewriting that bounds it.

There are no calls, imports, macros or blocks. What remains is values, fields, filters, tests, arithmetic, `if`, `for`
and `set`. Loops, `~` and each `{{ … }}` are led through filters of ours whose names no template can spell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TypeGuard

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame, optimizeconst
from jinja2.visitor import NodeTransformer
from msgspec import Struct

from orchestrator.render.limits import LIMITS

# names of our own filters: a space can't be written in a filter's name
LOOP, CONCAT, PUT, RESULT, WEIGH = "loop over", "concatenate", "put out", "take result", "weigh list"

ALLOWED: frozenset[type[nodes.Node]] = frozenset(
    {
        nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.Name, nodes.Const,
        nodes.List, nodes.Dict, nodes.Pair, nodes.Tuple, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Compare,
        nodes.Operand, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Concat, nodes.And, nodes.Or, nodes.Not,
        nodes.Neg, nodes.Pos, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow,
        nodes.Keyword,
    }
)  # fmt: skip
# these ask whether something is there, so what is missing is an answer to them and no error
_LENIENT_FILTERS = frozenset({"default", "d"})
_LENIENT_TESTS = frozenset({"defined", "undefined"})
SOFT = "soft"
RESERVED = frozenset({"self", "super", "caller", "varargs", "kwargs"})

_CURES = {
    nodes.Call: ("calls are not offered", "use a filter, such as x|upper instead of x.upper()"),
    nodes.Macro: ("macros are not offered", "write the text where it is needed"),
    nodes.Include: ("include is not offered", "shared parts belong in templates/_layout"),
    nodes.Extends: ("extends is not offered", "the layout of templates/_layout is put around every e-mail"),
    nodes.Block: ("blocks are not offered", "the layout of templates/_layout is put around every e-mail"),
    nodes.Import: ("import is not offered", "write the text where it is needed"),
    nodes.FromImport: ("import is not offered", "write the text where it is needed"),
    nodes.AssignBlock: ("set without a value is not offered", "write {% set name = value %}"),
    nodes.FilterBlock: ("filter blocks are not offered", "filter each value: {{ value|upper }}"),
}


class Fault(Struct, frozen=True):
    """One thing in a source that the language does not offer."""

    # from 1, of the source as it was parsed
    line: int
    what: str
    cure: str = ""


def spell(node: nodes.Node) -> str:
    """How an author would name this value: `member.given_name`; `expression` where it has no name."""
    if isinstance(node, nodes.Name):
        return str(node.name)
    if isinstance(node, nodes.Getattr):
        return f"{spell(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        return f"{spell(node.node)}.{node.arg.value}"
    if isinstance(node, nodes.Filter) and node.node is not None:
        return spell(node.node)
    return "expression"


def faults(tree: nodes.Node, filters: Collection[str], tests: Collection[str]) -> list[Fault]:
    """All that the language does not offer in this tree, in the order of the source."""
    found: list[Fault] = []
    for node, depth, loops in _walk(tree):
        line = getattr(node, "lineno", None) or 1
        if depth > LIMITS.depth:
            return [*found, Fault(line, f"nested deeper than {LIMITS.depth}", "split it with {% set %}")]
        if loops > LIMITS.loops:
            return [*found, Fault(line, f"more than {LIMITS.loops} loops inside one another")]
        if type(node) not in ALLOWED:
            what, cure = _CURES.get(type(node), (f"{type(node).__name__} is not offered", ""))
            found.append(Fault(line, what, cure))
        else:
            found.extend(_of_node(node, line, filters, tests))
    return sorted(set(found), key=lambda fault: (fault.line, fault.what))


def _walk(tree: nodes.Node) -> Iterator[tuple[nodes.Node, int, int]]:
    """Every node with its depth and the number of loops around it; without recursion, as depth is what it finds out."""
    stack = [(tree, 0, 0)]
    while stack:
        node, depth, loops = stack.pop()
        yield node, depth, loops
        inside = loops + isinstance(node, nodes.For)
        # as `iter_child_nodes` goes, which takes three generators for it: this is most of what reading a template costs
        for name in node.fields:
            part = getattr(node, name, None)
            if isinstance(part, nodes.Node):
                stack.append((part, depth + 1, inside))
            elif isinstance(part, list):
                stack.extend([(each, depth + 1, inside) for each in part if isinstance(each, nodes.Node)])


def _of_node(node: nodes.Node, line: int, filters: Collection[str], tests: Collection[str]) -> Iterator[Fault]:
    if isinstance(node, nodes.Name) and (node.name in RESERVED or node.name.startswith("_")):
        yield Fault(line, f"the name {node.name} is not offered")
    elif isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        yield Fault(line, f"the field {node.attr} is not offered")
    elif isinstance(node, nodes.For) and node.recursive:
        yield Fault(line, "recursive loops are not offered")
    elif isinstance(node, nodes.Filter | nodes.Test):
        known, kind = (filters, "filter") if isinstance(node, nodes.Filter) else (tests, "test")
        if node.name not in known:
            yield Fault(line, f"there is no {kind} {node.name}", f"there are: {', '.join(sorted(known))}")
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            yield Fault(line, "arguments with * are not offered", "write each argument")


class Bounding(NodeTransformer):
    """Leads loops, `~` and output through our filters; `x["name"]` becomes `x.name`."""

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        """`member.a.b|default(…)` holds where `a` is missing as well as where `b` is."""
        self.generic_visit(node)
        if node.name in _LENIENT_FILTERS:
            _soften(node.node)
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Node:
        """`member.a.b is defined` may be asked where `a` is missing."""
        self.generic_visit(node)
        if node.name in _LENIENT_TESTS:
            _soften(node.node)
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:
        """Each item of the loop costs as many steps as the loop's body has nodes."""
        weight = 1 + sum(1 for part in (*node.body, node.test) if part is not None for _ in _walk(part))
        self.generic_visit(node)
        node.iter = _filter(node.iter, LOOP, nodes.Const(weight), nodes.Const(spell(node.iter)))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        """`a ~ b` becomes a filter that counts characters before it joins."""
        self.generic_visit(node)
        first, *rest = node.nodes
        return _filter(first, CONCAT, *rest)

    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        """What is put out is checked: text or number, neither missing nor empty of meaning."""
        self.generic_visit(node)
        node.nodes = [
            part if isinstance(part, nodes.TemplateData) else _filter(part, PUT, nodes.Const(spell(part)))
            for part in node.nodes
        ]
        return node

    def visit_List(self, node: nodes.List) -> nodes.Expr:
        """A list made of others is weighed with all it holds: lists of the same list twice grow without bound."""
        self.generic_visit(node)
        return node if all(isinstance(item, nodes.Const) for item in node.items) else _filter(node, WEIGH)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:
        """As a list; the names that a `for` or `set` unpacks to are left alone."""
        self.generic_visit(node)
        made = node.ctx == "load" and not all(isinstance(item, nodes.Const) for item in node.items)
        return _filter(node, WEIGH) if made else node

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        """As a list."""
        self.generic_visit(node)
        return _filter(node, WEIGH)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        """A constant key is a field, so that an error can name it."""
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            return nodes.Getattr(node.node, node.arg.value, "load", lineno=node.lineno, environment=node.environment)
        return node


def _soften(node: nodes.Node | None) -> None:
    while isinstance(node, nodes.Getattr):
        node.ctx = SOFT
        node = node.node


def _filter(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    made = nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)
    made.set_environment(node.environment) if node.environment is not None else None
    return made


class Generator(CodeGenerator):
    """Jinja's own generator, which also hands each field access the path it was written as, for errors.

    What is put out into HTML goes through `environment.escaped`.
    """

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        if frame.eval_ctx.volatile or not frame.eval_ctx.autoescape or finalize.src is not None:
            super()._output_child_pre(node, frame, finalize)
        else:
            self.write("environment.escaped(")

    @optimizeconst
    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:
        """`member.tier` becomes `environment.field(member, 'tier', 'member.tier')`."""
        self.write("environment.soft_field(" if node.ctx == SOFT else "environment.field(")
        self.visit(node.node, frame)
        self.write(f", {node.attr!r}, {spell(node)!r})")


def _is_field(node: nodes.Node) -> TypeGuard[nodes.Getattr | nodes.Getitem]:
    constant = isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str)
    return isinstance(node, nodes.Getattr) or constant


def reads(tree: nodes.Node) -> frozenset[tuple[str, int]]:
    """The longest dotted paths that start at a name from outside, each with its line: `member.attributes.shop`."""
    inner: set[int] = set()
    named = [node for node, _, _ in _walk(tree) if isinstance(node, nodes.Name | nodes.Getattr | nodes.Getitem)]
    own = {node.name for node in named if isinstance(node, nodes.Name) and node.ctx == "store"} | {"loop"}
    paths: set[tuple[str, int]] = set()
    for node in named:
        if id(node) in inner or not (isinstance(node, nodes.Name) or _is_field(node)):
            continue
        root: nodes.Node = node
        while _is_field(root):
            root = root.node
            inner.add(id(root))
        if isinstance(root, nodes.Name) and root.ctx == "load" and root.name not in own:
            paths.add((spell(node), node.lineno))
    return frozenset(paths)


def fields(tree: nodes.Node) -> frozenset[str]:
    """As `reads`, without lines."""
    return frozenset(path for path, _ in reads(tree))
