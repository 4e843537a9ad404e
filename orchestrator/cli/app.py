"""The command `orchestrator`: global options, and whatever verbs lie beside this file.

orchestrator [--project DIR] [--json] VERB …
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.output import State
from orchestrator.cli.verbs import VerbGroup

# Spelled here as well as in settings.py, whose import would slow each start by a third.
PROJECT_FILE = "orchestrator.toml"

app = typer.Typer(
    cls=VerbGroup,
    name="orchestrator",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: orchestrator init club && cd club && orchestrator demo\n\n"
    "Exit codes: 0 done, 1 checked and found wanting, 2 wrong use, 3 content or set-up error, 70 a fault of ours.",
)


def project_of(folder: Path) -> Path:
    """The nearest folder, from `folder` upwards, that has an orchestrator.toml; `folder` itself where none has."""
    here = folder.resolve()
    return next((place for place in (here, *here.parents) if (place / PROJECT_FILE).is_file()), here)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"orchestrator {version('orchestrator')}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    project: Annotated[
        Path | None,
        typer.Option(
            envvar="ORCHESTRATOR_PROJECT",
            file_okay=False,
            help="The project's folder; else the current one, or its nearest parent that has an orchestrator.toml.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Results and errors as JSON; may also follow the verb.")
    ] = False,
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and end.")
    ] = False,
) -> None:
    """Event-driven communication for loyalty programmes: the right message, once, at a lawful hour, with proof."""
    ctx.obj = State(project=project.resolve() if project else project_of(Path.cwd()), json=as_json)


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    app()


if __name__ == "__main__":
    main()
