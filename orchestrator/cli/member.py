"""`orchestrator member …`: what is known of one member; handing it over, restricting, erasing it; two ids of one."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer
from msgspec.structs import replace
from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator import suppression
from orchestrator.cli.output import State, counted, key_values, show, table, write_json
from orchestrator.clocks import wall_clock
from orchestrator.contact_log.sentences import ZONE_FROM
from orchestrator.decide.member import Member
from orchestrator.errors import UsageError
from orchestrator.members import erase, erased, everything, known, merge, merged
from orchestrator.project import open_project
from orchestrator.runtimes.embedded.project_runner import carry_out
from orchestrator.times import instant

app = typer.Typer(no_args_is_help=True, help="See, hand over, restrict, erase or merge what is known of members.")
MemberId = Annotated[str, typer.Argument(metavar="MEMBER", help="The member's id.")]


@app.command("show")
def show_(ctx: typer.Context, member: MemberId) -> None:
    """Show what is known of a member: profile, contact points, consents, running figures, what waits.

    Example: orchestrator member show member-0042
    """
    with open_project(State.of(ctx).project) as project:
        found = known(project.store, project.vault, member)
    show(ctx, found, lambda: _view(found))


@app.command("export")
def export(ctx: typer.Context, member: MemberId) -> None:
    """Write all that is kept about a member as JSON: state and every log entry.

    Example: orchestrator member export member-0042 > member-0042.json
    """
    with open_project(State.of(ctx).project) as project:
        write_json(everything(project.store, project.vault, member))


@app.command("erase")
def erase_(
    ctx: typer.Context,
    member: MemberId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: it can't be undone.")] = False,
) -> None:
    """Erase a member: no touch from now on, and the key to all that is kept is destroyed. It can't be undone.

    Example: orchestrator member erase member-0042 --yes
    """
    state = State.of(ctx)
    if not yes:
        _confirm(state, "erasing", f"Erase {member} for good?")
    with open_project(state.project) as project:
        result = erase(project.store, project.vault, member, getpass.getuser(), wall_clock())
        carry_out(project)
        result = replace(result, key_destroyed=erased(project.store, project.vault, member))
    show(ctx, result)


@app.command("restrict")
def restrict_(
    ctx: typer.Context,
    member: MemberId,
    lift: Annotated[bool, typer.Option("--lift", help="End the restriction.")] = False,
    actor: Annotated[str, typer.Option(help="Who orders it, for the log. Default: the account.")] = "",
) -> None:
    """Keep what is known of a member and use it for no message, on any channel and for any purpose, until it is lifted.

    No call begins after this has returned. Events still change what is known; whatever would be sent is a silence.

    Example: orchestrator member restrict member-0042
    """
    with open_project(State.of(ctx).project) as project:
        who, now = actor or getpass.getuser(), instant(project.store.clock())
        if lift:
            suppression.lift(project.store, project.vault, suppression.Whom(member=member), who, now)
            show(ctx, suppression.Suppressed(cancelled=()), "It ends with the next turn.")
            return
        done = suppression.restrict(project.store, project.vault, member, who, now)
    words = f"No call begins from now on; {counted(len(done.cancelled), 'message')} that waited were cancelled."
    show(ctx, done, words)


@app.command("merge")
def merge_(
    ctx: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The id that is an alias from now on.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The id that stands for both.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: it can't be undone.")] = False,
    actor: Annotated[str, typer.Option(help="Who orders it, for the log. Default: the account.")] = "",
) -> None:
    """Merge two ids of one person: histories are joined, the strictest consent stands, caps count both.

    What comes for OLD is NEW's from then on. It can't be undone.

    Example: orchestrator member merge member-0042 member-0107 --yes
    """
    state = State.of(ctx)
    if not yes:
        _confirm(state, "merging", f"Make {old} an alias of {new} for good?")
    with open_project(state.project) as project:
        store, vault = project.store, project.vault
        result = merge(store, vault, old, new, actor or getpass.getuser(), wall_clock())
        carry_out(project)
        result = replace(result, done=merged(store, vault, old, new))
    show(ctx, result)


def _confirm(state: State, doing: str, question: str) -> None:
    """Goes on where a person agrees; a program must have said so already."""
    if state.json:
        raise UsageError(f"{doing} can't be undone: say --yes")
    typer.confirm(question, abort=True)


def _view(member: Member) -> RenderableType:
    """A member as people read one: what is empty is left out."""
    if member.merged_into:
        return Text(f"This id is an alias of {member.merged_into}: orchestrator member show {member.merged_into}")
    residence = member.residence
    zones = f"{', '.join(residence.zones)}, known from {ZONE_FROM[residence.zone_from]}" if residence.zones else ""
    profile = {
        "member": member.id,
        "reference": member.ref,
        "also known as": sorted(member.absorbed),
        "status": member.status + (f" since {member.since:%Y-%m-%d}" if member.since else ""),
        "name": f"{member.given_name} {member.family_name}".strip(),
        "birthday": member.birthday,
        "locale": member.locale,
        "lives in": member.region or member.country,
        "zone": zones,
        "laws": residence.jurisdictions,
        "tier": member.tier,
        **member.attributes,
        "open complaints": len(member.complaints) or None,
        "asked for": [f"{fact} on {at:%Y-%m-%d}" for fact, at in member.asked_for.items()],
        "journeys entered": [f"{name} on {at:%Y-%m-%d}" for name, at in member.entered.items()],
    }
    parts: list[RenderableType] = [key_values({name: value for name, value in profile.items() if value})]
    points = [
        (
            p.channel,
            p.address,
            p.kind.replace("_", " "),
            p.health,
            p.health_since,
            p.preferred,
            p.fingerprint in member.shared,
        )
        for p in member.contact_points
    ]
    consents: list[tuple[object, ...]] = [
        (f"{c.channel}, {c.purpose}", c.state, c.at, c.basis if c.state == "granted" else "", c.expires_at, c.record)
        for c in member.consents.values()
    ]
    consents += [
        (f"{c.channel}, {c.purpose}", "asked for, not confirmed", c.at, c.basis, c.expires_at, c.record)
        for c in (asked.consent for asked in member.asked.values())
        if c is not None
    ]
    figures = [(name, a.count, a.sum or None, a.first, a.last) for name, a in member.aggregates.items()]
    waits: list[tuple[object, ...]] = [
        (f"{p.journey} / {p.step}", p.created_at, p.valid_until) for p in member.pending.values()
    ]
    waits += [(name, None, due) for name, due in member.timers.items() if not name.startswith("intent:")]
    suppressed = [(*key.split("/"), why) for key, why in member.suppressed.items()]
    for columns, rows, title in (
        (("channel", "address", "kind", "health", "since", "preferred", "shared"), points, "Contact points"),
        (("for", "state", "at", "basis", "expires", "record"), consents, "Consents"),
        (("event", "count", "sum", "first", "last"), figures, "Figures"),
        (("what", "since", "until"), waits, "Waits"),
        (("whom", "channel", "purpose", "why"), suppressed, "Not contacted"),
    ):
        if rows:
            parts += ["", table(columns, rows, title=title)]
    return Group(*parts)
