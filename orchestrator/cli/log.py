"""`orchestrator log …`: see, export, verify and sign the contact log."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Literal

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.cli.completing import journeys as named_journeys
from orchestrator.cli.output import State, counted, key_values, show, stderr, table, verdict
from orchestrator.contact_log import checkpoint as checkpoints
from orchestrator.contact_log import query
from orchestrator.contact_log.bundle import BundleReport, bundle, verify_bundle
from orchestrator.contact_log.checkpoint import Checkpoint, make_checkpoint
from orchestrator.contact_log.export import Format, Line, export, verify_export
from orchestrator.contact_log.reconcile import Reconciliation, reconcile
from orchestrator.contact_log.verify import VerifyReport, verify
from orchestrator.errors import SetupError, UsageError
from orchestrator.project import Project, open_project

app = typer.Typer(
    no_args_is_help=True, help="See, export, verify and sign the contact log: every touch, every silence."
)

Member = Annotated[str, typer.Option("--member", metavar="ID", help="Only this member's entries.")]
Key = Annotated[
    str, typer.Option("--key", metavar="HEX", help="The public key that must have signed; else the project's own.")
]
Kept = Annotated[
    Path | None,
    typer.Option("--checkpoint", metavar="FILE", help="A checkpoint that was kept where the operator can't reach it."),
]


@app.command("show")
def show_(
    ctx: typer.Context,
    member: Member = "",
    journey: Annotated[str, typer.Option(help="Only this journey's entries.", autocompletion=named_journeys)] = "",
    verdict: Annotated[
        Literal["", "send", "defer", "suppress"], typer.Option(help="Only decisions of this verdict.")
    ] = "",
    kind: Annotated[
        Literal["", "decision", "touch", "consent", "contact_point", "member", "journey", "operator", "alarm", "tick"],
        typer.Option(help="Only entries of this kind."),
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="So many entries, the latest.")] = 50,
) -> None:
    """Show the latest entries of the log.

    Example: orchestrator log show --journey welcome --verdict suppress
    """
    with open_project(State.of(ctx).project) as project:
        ref = query.ref_of(project.store, project.vault, member) if member else None
        shown = query.show(project.store, ref=ref, journey=journey, verdict=verdict, kind=kind, limit=limit)
    show(ctx, shown, lambda: _entries(shown))


@app.command("export")
def export_(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to; - is standard output.")] = Path("-"),
    form: Annotated[
        Literal["jsonl", "csv"], typer.Option("--format", help="JSON Lines (verifiable) or CSV.")
    ] = "jsonl",
    member: Member = "",
    members: Annotated[
        bool, typer.Option("--members", help="Fill the column `member` with ids: personal data leaves the store.")
    ] = False,
) -> None:
    """Export the log, one entry a line, for auditors and other programs.

    Example: orchestrator log export --format csv --out log.csv
    """
    with open_project(State.of(ctx).project) as project, _writing(out) as file:
        store, kind = project.store, _format(form)
        ref = query.ref_of(store, project.vault, member) if member else None
        name_of = query.Names(store, project.vault) if members else None
        report = export(store, kind, file, ref=ref, name_of=name_of)
    if str(out) != "-":
        show(ctx, report)


@app.command("verify")
def verify_(
    ctx: typer.Context,
    kept: Kept = None,
    key: Key = "",
    exported: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Verify this JSON Lines export, not the store.")
    ] = None,
) -> None:
    """Find any entry that was altered, removed, inserted or moved; exit 1 if there is one.

    Without --checkpoint the last one in the store is used, which shows less than one that was kept elsewhere.

    Example: orchestrator log verify --checkpoint /mnt/audit/checkpoint-00000007
    """
    if exported is not None:
        with _reading(exported) as lines:
            report = verify_export(lines, _read(kept, _key(key)) if kept else None)
    else:
        with open_project(State.of(ctx).project) as project:
            report = _verify(project, kept, key)
    show(ctx, report, lambda: _verified(report))
    _end(report.ok)


@app.command("checkpoint")
def checkpoint_(
    ctx: typer.Context,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Also write it here: take it where nobody can edit it.")
    ] = None,
) -> None:
    """Sign where all chains stand now; exit 1, signing nothing, if they do not follow from the last checkpoint.

    Example: orchestrator log checkpoint --out /mnt/audit/checkpoint-00000007
    """
    with open_project(State.of(ctx).project) as project:
        made = make_checkpoint(project.store, project.vault, datetime.now(UTC))
        raw = project.store.get_document(checkpoints.KIND, made.name) or b""
    if out is not None:
        with _writing(out) as file:
            file.write(raw)
    show(ctx, made, lambda: _signed(made, out))


@app.command("bundle")
def bundle_(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The zip to write.")],
) -> None:
    """Put the log, its checkpoints and the content that decided into one zip that proves itself offline.

    Example: orchestrator log bundle --out audit.zip
    """
    with open_project(State.of(ctx).project) as project:
        try:
            report = bundle(project.store, project.vault, datetime.now(UTC), out)
        except OSError as error:
            raise SetupError(f"{out} can't be written: {error.strerror}") from None
    show(ctx, report, lambda: _bundled(report, f"{out} written"))


@app.command("verify-bundle")
def verify_bundle_(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The zip that `log bundle` wrote.")],
    kept: Kept = None,
    key: Annotated[str, typer.Option("--key", metavar="HEX", help="The public key that must have signed it.")] = "",
) -> None:
    """Verify a bundle offline, without project or store; exit 1 if anything in it is not as it was signed.

    Example: orchestrator log verify-bundle audit.zip --key 1f0c…
    """
    if not path.is_file():
        raise UsageError(f"{path} is no file")
    public_key = _key(key)
    report = verify_bundle(path, public_key, _read(kept, public_key) if kept else None)
    show(ctx, report, lambda: _bundled(report, f"{path} verifies" if report.ok else f"{path} does not verify"))
    if public_key is None and not State.of(ctx).json:
        stderr().print("Compare the public key with the one written down at set-up, or pass it with --key.")
    _end(report.ok)


@app.command("reconcile")
def reconcile_(ctx: typer.Context) -> None:
    """Check that it adds up: every input and every intent is accounted for; exit 1 if one is not.

    Example: orchestrator log reconcile
    """
    with open_project(State.of(ctx).project) as project:
        books = reconcile(project.store)
    show(ctx, books, lambda: _reconciled(books))
    _end(books.holds)


# --- what is asked of the library


def _verify(project: Project, kept: Path | None, key: str) -> VerifyReport:
    public_key = _key(key) or project.vault.public_key
    if kept is not None:
        return verify(project.store, _read(kept, public_key))
    names = project.store.documents(checkpoints.KIND)
    raw = project.store.get_document(checkpoints.KIND, max(names)) if names else None
    return verify(project.store, checkpoints.read(raw, public_key) if raw is not None else None)


def _read(path: Path, public_key: bytes | None) -> Checkpoint:
    with _reading(path) as file:
        return checkpoints.read(file.read(), public_key)


def _key(text: str) -> bytes | None:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b"?"
    if key and len(key) != 32:
        raise UsageError("--key takes 64 hex digits, as `orchestrator log checkpoint` shows them")
    return key or None


def _format(form: str) -> Format:
    return "csv" if form == "csv" else "jsonl"


def _end(ok: bool) -> None:
    if not ok:
        raise typer.Exit(1)


@contextmanager
def _reading(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    with file:
        yield file


@contextmanager
def _writing(path: Path) -> Iterator[IO[bytes]]:
    """A file that is there whole, readable by its owner alone, or not at all; `-` is standard output."""
    if str(path) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise SetupError(f"{path} can't be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


# --- what is shown


def _entries(shown: query.Shown) -> RenderableType:
    rows = [
        (
            entry.at[:19] + "Z",
            f"{entry.partition}/{entry.n}",
            (entry.member_ref or "")[:8],
            entry.kind,
            " / ".join(filter(None, (entry.journey, entry.step))),
            entry.channel,
            entry.verdict or entry.state,
            entry.reason,
            _later(entry),
        )
        for entry in shown.entries
    ]
    if not rows:
        return Text("No entry of that kind is on record.")
    columns = ("at", "entry", "member", "kind", "journey / step", "channel", "verdict", "reason", "until")
    drawn = table(columns, rows)
    more = shown.found - len(shown.entries)
    return Group(drawn, Text(f"{more:,} earlier ones are not shown; see --limit")) if more else drawn


def _later(entry: Line) -> str:
    moment = entry.release_at or entry.valid_until
    return moment[:19] + "Z" if moment else ""


def _verified(report: VerifyReport) -> RenderableType:
    against = (
        f"and continue checkpoint {report.checkpoint} of {(report.checkpoint_at or '')[:19]}Z"
        if report.checkpoint is not None
        else "by their chains alone: sign a checkpoint with `orchestrator log checkpoint` and keep it elsewhere"
    )
    whole = f"{report.entries:,} entries in {report.partitions} partitions"
    if report.ok:
        return verdict(True, f"{whole} are unaltered, {against}")
    head = verdict(False, f"{counted(report.found, 'fault')} in {whole}")
    return Group(head, *[Text(f"  {fault.what}: {fault}") for fault in report.faults])


def _signed(made: Checkpoint, out: Path | None) -> RenderableType:
    pairs = {
        "checkpoint": made.number,
        "at": made.at,
        "entries": made.entries,
        "public key": made.public_key,
        "written to": out or "the store alone: use --out and keep it where the operator can't reach",
    }
    return Group(verdict(True, "signed"), key_values(pairs))


def _bundled(report: BundleReport, headline: str) -> RenderableType:
    pairs = {
        "checkpoint": f"{report.checkpoint} of {report.checkpoint_at}",
        "entries": report.entries,
        "revisions": report.revisions,
        "revisions not kept": report.absent,
        "public key": report.public_key,
    }
    faults = [Text(f"  {fault.what}: {fault}") for fault in report.faults]
    return Group(verdict(report.ok, headline), key_values(pairs), *faults)


def _reconciled(books: Reconciliation) -> RenderableType:
    lines: list[RenderableType] = [verdict(balance.holds, str(balance)) for balance in books.sums]
    lines += [Text(f"  {balance}") for balance in books.broken]
    good = not books.differences
    lines.append(verdict(good, f"{books.decisions:,} decisions of the log, counted anew, say the same"))
    lines += [
        Text(f"  {each.what}: on record {each.recorded:,}, in the log {each.counted:,}")
        if each.partition is None
        else Text(
            f"  partition {each.partition}, {each.what}: on record {each.recorded:,}, in the log {each.counted:,}"
        )
        for each in books.differences
    ]
    return Group(*lines)
