"""`orchestrator voucher …`: load voucher codes into their pools, and see how many are left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType

from orchestrator.cli.output import State, cell, counted, key_values, progress, show, table
from orchestrator.content import locate
from orchestrator.project import open_project

if TYPE_CHECKING:
    from orchestrator.voucher_files import Loaded
    from orchestrator.voucher_pools import Standing

app = typer.Typer(no_args_is_help=True, help="Load voucher codes into their pools; see how many are left.")


@app.command("load")
def load_(
    ctx: typer.Context,
    pool: Annotated[str, typer.Argument(metavar="POOL", help="A pool of templates/vouchers.yaml.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A code a line, or CSV with a header; plain or gzip.")],
    column: Annotated[str, typer.Option(help="The column of the codes, in CSV.")] = "code",
) -> None:
    """Add the codes of a file to a pool. The same file again adds nothing: a code is there once, in one pool.

    Rows that are not taken are listed with line, reason and cure; codes are never shown. Codes are encrypted in the
    store. They are given in the order of the file, each to one message.

    Example: orchestrator voucher load birthday codes.csv
    """
    from orchestrator.content.journeys import load_pools
    from orchestrator.voucher_files import load

    state = State.of(ctx)
    done = 0
    with (
        open_project(state.project) as project,
        progress(ctx, "codes", file.stat().st_size if file.is_file() else None) as advance,
    ):

        def so_far(read: int) -> None:
            nonlocal done
            advance(read - done)
            done = read

        pools = load_pools(locate.folder("templates", project.path))
        result = load(project.store, project.vault, pools, pool, file, column=column, moved=so_far)
    show(ctx, result, lambda: _loaded(result))
    if result.refused:
        raise typer.Exit(1)


@app.command("status")
def status_(ctx: typer.Context) -> None:
    """Show of each pool how many codes are left and given, and whether fewer are left than its low-water mark.

    A code counts as given from the moment its message is in line; it is left again if that is cancelled uncalled.

    Example: orchestrator voucher status --json
    """
    from orchestrator.content.journeys import load_pools, promised_by
    from orchestrator.voucher_pools import standing

    with open_project(State.of(ctx).project) as project:
        folder = locate.folder("templates", project.path)
        found = standing(project.store, load_pools(folder), promised_by(folder))
    show(
        ctx,
        found,
        (lambda: _standing(found)) if found else "There are no pools: declare them in templates/vouchers.yaml.",
    )


def _loaded(result: Loaded) -> RenderableType:
    head = {
        "pool": result.pool,
        "rows": result.rows,
        "added": result.added,
        "known before": result.known,
        "refused": result.refused,
        "left in the pool": result.left,
    }
    rows = [(row.line, row.reason.replace("_", " "), row.cure) for row in result.not_taken]
    parts: list[RenderableType] = [key_values(head)]
    if rows:
        parts += ["", table(("line", "not taken because", "cure"), rows)]
    more = result.known + result.refused - len(rows)
    if more:
        parts.append(f"and {counted(more, 'row')} more")
    return Group(*parts)


def _standing(found: list[Standing]) -> RenderableType:
    columns = ("pool", "left", "given", "low-water", "last day", "promised by", "")
    rows = [
        (p.pool, p.left, p.given, p.low_water, p.last_day, p.journeys, cell(_remark(p)) if _remark(p) else "")
        for p in found
    ]
    return table(columns, rows)


def _remark(pool: Standing) -> str:
    if pool.low_water is None:
        return "not declared in templates/vouchers.yaml"
    return "low: load more codes" if pool.low else ""
