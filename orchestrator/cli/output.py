"""How verbs show their results: tables, key-values and progress for people, JSON with `--json`.

Results go to standard output, everything else to standard error. Colour and progress appear on a terminal only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path, PurePath

import msgspec
import typer
from msgspec import Struct
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orchestrator.times import rfc3339

# columns of a table that is piped into a file or another program, where no terminal says its width
PIPED_WIDTH = 200
# characters between two columns
BETWEEN = 3


class State(Struct, frozen=True):
    """The global options, for every verb: `State.of(ctx)`."""

    # the project's folder
    project: Path
    # True: results and errors as JSON
    json: bool

    @classmethod
    def of(cls, ctx: typer.Context) -> State:
        """The state of this call."""
        state = ctx.find_object(cls)
        if state is None:
            raise LookupError("verbs run below orchestrator.cli.app, which sets the state")
        return state


def show(ctx: typer.Context, result: object, view: Callable[[], RenderableType] | RenderableType | None = None) -> None:
    """Shows a result: as JSON with `--json`, else as `view` draws it (a renderable, or a function that makes one).

    Without a view a struct or mapping is drawn as key-values, a sequence of structs as a table, anything else as text.
    """
    if State.of(ctx).json:
        write_json(result)
        return
    drawn = view() if callable(view) else view
    stdout().print(default_view(result) if drawn is None else drawn)


def write_json(result: object) -> None:
    """One JSON value on standard output: one line, indented where a person watches."""
    text = msgspec.json.encode(result, enc_hook=_encode)
    if sys.stdout.isatty():
        text = msgspec.json.format(text, indent=2)
    sys.stdout.write(text.decode() + "\n")


def _encode(value: object) -> object:
    if isinstance(value, PurePath):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")


def stdout() -> Console:
    """The console for results; nothing is cut where no terminal says how wide it is."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    return Console(width=width, highlight=False, soft_wrap=False)


def stderr() -> Console:
    """The console for remarks beside a result."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def default_view(result: object) -> RenderableType:
    """Key-values for a struct or mapping, a table for a sequence of them, text for anything else."""
    if isinstance(result, Struct):
        return key_values(msgspec.structs.asdict(result))
    if isinstance(result, Mapping):
        return key_values(result)
    if isinstance(result, Sequence) and not isinstance(result, str | bytes) and result:
        if all(isinstance(row, Struct) for row in result):
            names = result[0].__struct_fields__
            return table(names, ([getattr(row, name) for name in names] for row in result))
        return Text("\n".join(cell(row).plain for row in result))
    return cell(result)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Rows:
    """A table with a head; numbers stand to the right. Where it is too narrow for it, each row stands by itself."""
    return Rows([name.replace("_", " ") for name in columns], [list(row) for row in rows], title)


class Rows:
    """Rows under names, drawn as wide as the terminal allows without breaking a word."""

    def __init__(self, columns: list[str], rows: list[list[object]], title: str | None) -> None:
        self.columns, self.rows, self.title = columns, rows, title
        self.cells = [[cell(value) for value in row] for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A table where all words fit, else a list of each row's names and values."""
        widths = self._widths(options.max_width)
        if widths is not None:
            yield self._table(widths)
            return
        if self.title:
            yield Text(self.title, style="italic")
        for row, cells in zip(self.rows, self.cells, strict=True):
            yield Text(cells[0].plain, style="bold")
            named = zip(self.columns[1:], row[1:], strict=True)
            yield Padding(key_values({name: value for name, value in named if value not in (None, "")}), (0, 0, 0, 2))

    def _widths(self, room: int) -> list[int] | None:
        """How wide each column is drawn; None where not even the longest words fit beside each other."""
        columns = [[Text(name), *[cells[at] for cells in self.cells]] for at, name in enumerate(self.columns)]
        words = [max(cell_len(word) for text in column for word in text.plain.split() or [""]) for column in columns]
        lines = [max(cell_len(line) for text in column for line in text.plain.split("\n")) for column in columns]
        room -= BETWEEN * (len(columns) - 1)
        if sum(lines) <= room:
            return lines
        wished, left = sum(lines) - sum(words), room - sum(words)
        return (
            [word + left * (line - word) // wished for word, line in zip(words, lines, strict=True)]
            if left >= 0
            else None
        )

    def _table(self, widths: list[int]) -> Table:
        drawn = Table(
            title=self.title,
            title_justify="left",
            header_style="bold",
            box=SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
        )
        for at, (name, width) in enumerate(zip(self.columns, widths, strict=True)):
            numeric = bool(self.rows) and all(isinstance(row[at], int | float) for row in self.rows)
            drawn.add_column(name, justify="right" if numeric else "left", width=width)
        for cells in self.cells:
            drawn.add_row(*cells)
        return drawn


def key_values(pairs: Mapping[str, object]) -> Table:
    """One line for each key, values beneath each other."""
    drawn = Table.grid(padding=(0, 2))
    drawn.add_column(style="bold")
    drawn.add_column(overflow="fold")
    for key, value in pairs.items():
        drawn.add_row(key.replace("_", " "), cell(value))
    return drawn


def cell(value: object) -> Text:
    """One value as text, taken literally (never as markup): `-` for none."""
    match value:
        case Text():
            return value
        case None | "":
            return Text("-", style="dim")
        case bool():
            return Text("yes" if value else "no", style="green" if value else "")
        case datetime():
            return Text(rfc3339(value)[:19] + "Z")
        case date():
            return Text(value.isoformat())
        case float():
            return Text(f"{value:,.3f}".rstrip("0").rstrip("."))
        case int():
            return Text(f"{value:,}")
        case list() | tuple() | set() | frozenset():
            return Text(", ".join(cell(part).plain for part in value) or "-")
        case _:
            return Text(str(value))


def counted(n: int, one: str, many: str = "") -> str:
    """`1 touch`, `2,000 touches`; an s makes many of one where nothing else is given."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"


def verdict(good: bool, text: str) -> Text:
    """A line that says at a glance whether it is well: green tick or red cross, readable without colour."""
    return Text.assemble(("✓ " if good else "✗ ", "bold green" if good else "bold red"), text)


def remark(text: str) -> Text:
    """A line to take note of that is no failure, marked as `doctor` marks them."""
    return Text.assemble(("! ", "bold yellow"), text)


@contextmanager
def progress(ctx: typer.Context, task: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while work goes on; the given function moves it on by so many.

    Shown on a terminal only, and not with `--json`; elsewhere the function does nothing.
    """
    if State.of(ctx).json or not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr(), transient=True) as bar:
        shown = bar.add_task(task, total=total)
        yield lambda done: bar.advance(shown, done)
