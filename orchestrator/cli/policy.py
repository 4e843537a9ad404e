"""`orchestrator policy test|list`: what the house's own policies say, and whether that is what is expected of them."""

from __future__ import annotations

from typing import Annotated

import typer
from msgspec import Struct
from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.cli.output import State, show, table, verdict
from orchestrator.content import locate
from orchestrator.content.journeys import categories_of
from orchestrator.content.policy_cases import PolicyTest, list_rules, run_cases
from orchestrator.content.policy_effects import Effects, check_effects

# changed effects that a terminal is shown
SHOWN = 20

WriteEffects = Annotated[
    bool, typer.Option("--write-effects", help="Write golden.json anew from what the policies say now.")
]

app = typer.Typer(help="Show and test the channel policies of the house.", no_args_is_help=True)


class Tested(Struct, frozen=True, kw_only=True):
    """What `policy test` came to."""

    cases: PolicyTest
    effects: Effects


@app.command("test", epilog="Example: orchestrator policy test")
def check(
    ctx: typer.Context,
    *,
    write_effects: WriteEffects = False,
) -> None:
    """Run every case beside the policies, and compare their effects with golden.json; exit 1 where one differs.

    Also lists the rules and reason codes that no case reached, and files without cases.
    """
    project = State.of(ctx).project
    journeys = categories_of(locate.folder("templates", project))
    folder = locate.folder("channel_policies", project)
    result = Tested(cases=run_cases(folder, journeys), effects=check_effects(folder, journeys, write=write_effects))
    show(ctx, result, lambda: Group(_report(result.cases), *_changes(result.effects)))
    if not (result.cases.ok and result.effects.ok):
        raise typer.Exit(1)


@app.command("list", epilog="Example: orchestrator policy list --channel sms")
def list_(
    ctx: typer.Context,
    channel: str = typer.Option("", help="Only rules that a touch on this channel is asked."),
) -> None:
    """List the rules of the house: since when, for whom, what they say and where they stand."""
    project = State.of(ctx).project
    rules = list_rules(locate.folder("channel_policies", project), categories_of(locate.folder("templates", project)))
    if channel:
        rules = tuple(rule for rule in rules if channel in rule.channels or rule.channels == ("all",))
    columns = ("rule", "since", "channels", "purposes", "says", "at")
    rows = [(r.rule, r.effective, r.channels, r.purposes, r.says, r.place) for r in rules]
    show(ctx, rules, lambda: table(columns, rows))


def _changes(effects: Effects) -> list[RenderableType]:
    cure = "orchestrator policy test --write-effects"
    if effects.written:
        return [verdict(True, f"golden.json written anew: {effects.lines} lines")]
    if effects.missing:
        return [Text(f"there is no golden.json to compare the effects with: {cure}", style="yellow")]
    parts: list[RenderableType] = []
    for change in effects.changes[:SHOWN]:
        parts.append(Text(change.what, style="bold"))
        parts += [Text(f"  before {line}") for line in change.before if line not in change.now]
        parts += [Text(f"  now    {line}") for line in change.now if line not in change.before]
    if len(effects.changes) > SHOWN:
        parts.append(Text(f"and {len(effects.changes) - SHOWN} more; --json tells all of them"))
    said = f"{effects.lines} lines of effects, {len(effects.changes)} otherwise than in golden.json"
    if effects.changes:
        parts.append(Text(f"where that is meant: {cure}", style="yellow"))
    return [*parts, verdict(effects.ok, said)]


def _report(result: PolicyTest) -> RenderableType:
    said = f"{result.cases} cases in {result.files} files, {len(result.failures)} answered otherwise"
    parts: list[RenderableType] = []
    for failure in result.failures:
        parts.append(Text(f"{failure.place}: {failure.case}", style="bold"))
        parts.append(Text(f"  expected {failure.expected}\n  got      {failure.got}"))
    unreached = (
        ("rules that no case reached", result.unreached_rules),
        ("reason codes that no case reached", result.unreached_reasons),
        ("policy files without cases", result.without_cases),
    )
    for what, names in unreached:
        if names:
            parts.append(Text(f"{what}: {', '.join(names)}", style="yellow"))
    return Group(*parts, verdict(result.ok, said))
