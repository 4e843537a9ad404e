"""`orchestrator policy test|list`: what the house's own policies say, and whether they say what their cases expect."""

from __future__ import annotations

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.cli.output import State, show, table, verdict
from orchestrator.content import locate
from orchestrator.content.journeys import categories_of
from orchestrator.content.policy_cases import PolicyTest, list_rules, run_cases

app = typer.Typer(help="Show and test the channel policies of the house.", no_args_is_help=True)


@app.command("test", epilog="Example: orchestrator policy test")
def test(ctx: typer.Context) -> None:
    """Run every case beside the policies; exit 1 where one is answered otherwise than expected.

    Also lists the rules and reason codes that no case reached, and files without cases.
    """
    project = State.of(ctx).project
    journeys = categories_of(locate.folder("templates", project))
    result = run_cases(locate.folder("channel_policies", project), journeys)
    show(ctx, result, lambda: _report(result))
    if not result.ok:
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
