"""All that can be found wrong with a project's content before it runs: it compiles, and every text is tried."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from orchestrator.content import locate
from orchestrator.content.confine import LintRequest, confined_lint
from orchestrator.content.disclosures import OPT_OUT, disclosures
from orchestrator.content.laws import load_laws
from orchestrator.content.lint import LintReport
from orchestrator.content.load import identity_of, load_content
from orchestrator.decide.content import Content
from orchestrator.errors import ContentError
from orchestrator.settings import Settings


def checked(project: Path, settings: Settings, today: date) -> Content:
    """The content of a project; raises ContentError with every problem of every file, those of its texts included."""
    content = load_content(project, settings)
    report = lint_texts(project, settings, today)
    if report.problems:
        raise ContentError([found.problem() for found in report.problems])
    return content


def lint_texts(project: Path, settings: Settings, today: date, journey: str = "") -> LintReport:
    """What is wrong with the texts of all journeys, or of one, by the laws in force on that day; in a child process."""
    try:
        laws = load_laws(locate.folder("channel_policies", project) / "laws", settings.laws.profile)
        asked = disclosures(laws, today)
    except ContentError:
        # who looks at texts alone is told of the laws elsewhere
        asked = (OPT_OUT,)
    return confined_lint(
        LintRequest(
            folder=str(locate.folder("templates", project).resolve()),
            default_locale=settings.locale,
            identity=identity_of(settings),
            journey=journey,
            disclosures=asked,
            schemas=str(locate.folder("schemas", project).resolve()),
        )
    )
