"""Which verbs there are, without importing them.

`--help`, completion and start-up read each module's source for its name and one line of help; the module itself (and
with it the database and what else it needs) is imported only when its verb is used.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from msgspec import Struct
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from orchestrator.cli.failures import quietly_without_reader, report
from orchestrator.errors import UsageError

# The modules of this folder that are the frame, not verbs.
FRAME = frozenset({"__init__", "__main__", "app", "failures", "output", "verbs"})


class Verb(Struct, frozen=True):
    """One verb or group of verbs, as its source tells it."""

    # as typed: `data-quality`
    name: str
    # last part of the module's name: `data_quality`
    module: str
    # one line for the list of verbs
    help: str
    # True: the module has `app`, a group of verbs; False: it has `command`, one verb
    group: bool


def verbs(folder: Path) -> Iterator[Verb]:
    """The verbs of a folder of modules, by name; modules with neither `app` nor `command` are passed over."""
    for path in sorted(folder.glob("*.py")):
        if path.stem in FRAME:
            continue
        tree = ast.parse(path.read_bytes(), str(path))
        for node in tree.body:
            kind = _kind(node)
            if kind:
                text = _own_help(node) or ast.get_docstring(tree) or ""
                yield Verb(path.stem.replace("_", "-"), path.stem, _first_line(text), kind == "app")
                break


def _kind(node: ast.stmt) -> str:
    """`app` or `command` where this statement defines one of them, else ""."""
    match node:
        case ast.FunctionDef(name="command"):
            return "command"
        case ast.Assign(targets=[ast.Name(id="app" as name)]) | ast.AnnAssign(target=ast.Name(id="app" as name)):
            return name
    return ""


def _own_help(node: ast.stmt) -> str | None:
    """The docstring of `command`, or the literal `help=` of `app = typer.Typer(…)`."""
    if isinstance(node, ast.FunctionDef):
        return ast.get_docstring(node)
    match node:
        case ast.Assign(value=ast.Call(keywords=keywords)) | ast.AnnAssign(value=ast.Call(keywords=keywords)):
            for keyword in keywords:
                if keyword.arg == "help" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
    return None


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip()


def load(verb: Verb) -> TyperCommand | TyperGroup:
    """Imports a verb's module and builds its command."""
    module = import_module(f"orchestrator.cli.{verb.module}")
    if verb.group:
        built: Any = get_group(module.app)
    else:
        single = typer.Typer(add_completion=False, rich_markup_mode="rich")
        single.command(verb.name)(module.command)
        built = get_command(single)
    built.name = verb.name
    _literally(built)
    loaded: TyperCommand | TyperGroup = built
    return loaded


def _literally(command: Any) -> None:
    """Has help shown as it is written: `[approval]` names a part of the settings, and is no markup."""
    command.help = escape(command.help or "")
    command.epilog = escape(command.epilog or "")
    for option in command.params:
        if getattr(option, "help", None):
            option.help = escape(option.help)
    for below in getattr(command, "commands", {}).values():
        _literally(below)


class VerbGroup(TyperGroup):
    """The group of all verbs: knows them by name and help, imports the one that is used."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.verbs = {verb.name: verb for verb in verbs(Path(__file__).parent)}
        for verb in self.verbs.values():
            self.add_command(TyperCommand(verb.name, help=verb.help, callback=None))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that the words call; here its module is imported."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            # only who errs pays for the import
            from orchestrator.located import nearest

            raise UsageError(f"there is no verb {args[0]}; {nearest(args[0], self.commands)}")
        name, found, rest = super().resolve_command(ctx, args)
        if name in self.verbs:
            found = load(self.verbs[name])
        return name, found, rest

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the global options wherever they stand: `law check F --json` is `--json law check F`."""
        return super().parse_args(ctx, hoisted(args))

    def invoke(self, ctx: Any) -> int:
        """Runs the verb; what it returns is nobody's business, so that no result is mistaken for an exit code."""
        super().invoke(ctx)
        sys.stdout.flush()
        return 0

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> int:
        """Runs the words and maps each error to message and exit code; `standalone_mode` ends the process with it."""
        words = sys.argv[1:] if args is None else list(args)
        try:
            code: int = super().main(words, prog_name, complete_var, False, windows_expand_args, **extra)
        except SystemExit as ended:
            # Typer ends by itself where completion was asked for, and where nobody reads our output any more.
            if not isinstance(ended.__context__, BrokenPipeError):
                raise
            code = quietly_without_reader()
        except Exception as error:  # noqa: BLE001 - the outermost frame: no error may pass it with a raw trace
            code = report(error, as_json="--json" in hoisted(words)[:3])
        if standalone_mode:
            sys.exit(code)
        return code


def hoisted(args: list[str]) -> list[str]:
    """The words with `--json` and `--project DIR` moved to the front; what follows a bare `--` stays as it is."""
    end = args.index("--") if "--" in args else len(args)
    front: list[str] = []
    rest: list[str] = []
    words = iter(args[:end])
    for word in words:
        if word == "--json" or word.startswith("--project="):
            front.append(word)
        elif word == "--project":
            front += [word, *[value for value in [next(words, None)] if value is not None]]
        else:
            rest.append(word)
    return [*front, *rest, *args[end:]]
