"""`orchestrator lag`: how far the workers are behind."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer
from rich.console import Group, RenderableType

from orchestrator.cli.output import State, show, table
from orchestrator.project import open_project

if TYPE_CHECKING:
    from orchestrator.runtimes.kafka.lag import LagReport


def command(ctx: typer.Context) -> None:
    """Show how far the workers are behind: events not yet applied, timers due, messages waiting, rows untold.

    Of each provider account it shows whether it is left alone, its rate, and what waits for it.

    Example: orchestrator lag --json
    """
    from orchestrator.runtimes.kafka.lag import lag

    with open_project(State.of(ctx).project) as project:
        result = lag(project, time.time_ns() // 1_000)
    show(ctx, result, lambda: view(result))


def view(result: LagReport) -> RenderableType:
    """The report as people read it."""
    columns = ("partition", "lag", "next offset", "end", "clock", "epoch", "due", "waiting", "reserved", "in flight")
    rows = [
        (p.partition, p.lag, p.next_offset, p.end, p.clock, p.epoch, p.due, p.waiting, p.reserved, p.in_flight)
        for p in result.partitions
    ]
    of_accounts = (
        "channel",
        "account",
        "breaker",
        "until",
        "switched off",
        "rate",
        "leased",
        "calling",
        "waiting",
        "later",
    )
    accounts = [
        (
            *(a.channel, a.account or "none", f"{a.breaker} ({a.said})" if a.said else a.breaker, a.until or ""),
            *(", ".join(a.off), f"{a.per_second:g}/s" if a.per_second else "", f"{a.leased} of {a.of}" if a.of else ""),
            *(a.calling, a.waiting, a.later),
        )
        for a in result.accounts
    ]
    return Group(
        table(columns, rows, title=result.topic),
        table(of_accounts, accounts, title="accounts"),
        f"{result.lag:,} events behind, {result.due:,} timers due, {result.reserved:,} touches waiting for their call, "
        f"{result.untold:,} log rows not yet told",
    )
