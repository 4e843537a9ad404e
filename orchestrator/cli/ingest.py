"""`orchestrator ingest`: a programme's files become events, by a mapping."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from orchestrator.cli.output import State, key_values, progress, show, table

if TYPE_CHECKING:
    from rich.console import Group

    from orchestrator.ingest.run import IngestReport


def command(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="CSV or JSON Lines, plain or gzip.")],
    mapping: Annotated[
        str,
        typer.Option("--map", metavar="MAP.yaml", help="A mapping file, or its name below schemas/sources."),
    ],
    history: Annotated[
        bool, typer.Option("--history", help="Mark the events as history: they change what is known, never trigger.")
    ] = False,
    into: Annotated[
        str,
        typer.Option(
            "--into",
            metavar="FILE|kafka",
            help="Write the events here, or send them to the workers' topic; else below incoming/.",
        ),
    ] = "",
) -> None:
    """Turn a programme's files into events, by a mapping.

    A row that can't be taken is listed with its number, field, reason and cure in a report beside the events, and the
    rest goes on: the exit code is 0, and the summary names the report. Values are never quoted. The same files and
    mapping give the same output file, byte for byte, so a run may be repeated: events that were sent twice to the topic
    are duplicates, and change nothing.

    Example: orchestrator ingest baskets.csv.gz --map complete-journey/baskets
    """
    from orchestrator.content.event_types import load_event_types
    from orchestrator.ingest.find import find_mapping
    from orchestrator.ingest.load import load_mapping
    from orchestrator.ingest.run import ingest, output_path

    state = State.of(ctx)
    to_topic = into == "kafka"
    path = find_mapping(mapping, state.project)
    loaded = load_mapping(path, str(path), load_event_types(state.project))
    named = output_path(state.project / "incoming", files, loaded, history=history) if to_topic or not into else None
    out = named or Path(into)
    total = sum(file.stat().st_size for file in files if file.is_file())
    done = 0
    with progress(ctx, "reading", total) as advance:

        def so_far(read: int) -> None:
            nonlocal done
            advance(read - done)
            done = read

        report = ingest(files, loaded, out, history=history, progress=so_far)
    if to_topic:
        from orchestrator.project import open_project
        from orchestrator.runtimes.kafka.sending import send_file

        try:
            with open_project(state.project) as project, progress(ctx, "sending", report.events) as advance:
                topic = send_file(project, out, loaded.types, advance)
        finally:
            # it holds personal data, and `run` would take it for its own
            out.unlink()
        report = replace(report, output=f"topic {topic}")
    show(ctx, report, lambda: _view(report))


def _view(report: IngestReport) -> Group:
    from rich.console import Group

    head = {
        "rows": report.rows,
        "events": report.events,
        "refused": report.refused,
        "duplicates": report.duplicates,
        "written to": report.output,
        "refused rows": report.refusals or "none",
    }
    details = [
        *(("event", name, n) for name, n in report.by_type.items()),
        *(("refused", reason, n) for reason, n in report.reasons.items()),
        *(("made null", name, n) for name, n in report.cured.items()),
    ]
    return Group(key_values(head), *([table(("what", "which", "count"), details)] if details else []))
