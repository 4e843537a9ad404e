"""One message as a member would get it: `orchestrator template preview` and `test-send`."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from orchestrator.channels.segments import segments
from orchestrator.content.cases import read_cases
from orchestrator.content.lint import occasion_of, promise_of
from orchestrator.content.samples import Sample, of_case, samples, with_voucher
from orchestrator.content.templates import LAYOUT, compile_templates, read_templates
from orchestrator.decide.content import Identity
from orchestrator.errors import ContentError, Problem, UsageError
from orchestrator.events.catalogue import ENGINE, EventTypes
from orchestrator.located import nearest
from orchestrator.render.contract import RenderError


class Preview(Struct, frozen=True, kw_only=True):
    """The words, and for whom."""

    journey: str
    message: str
    channel: str
    locale: str
    # name of the case, or what is known of the sample member
    who: str
    subject: str
    html: str
    text: str
    # sms: billed segments; 0 for other channels
    segments: int
    # of the journey
    purpose: str
    # the text as a provider approved it, and a picture: see `channels.contract.Message`
    template: str = ""
    content_sid: str = ""
    template_language: str = ""
    variables: tuple[str, ...] = ()
    media: str = ""


def preview(
    folder: Path,
    default_locale: str,
    identity: Identity,
    journey: str,
    message: str,
    channel: str = "email",
    locale: str = "",
    case: str = "",
    types: EventTypes = ENGINE,
) -> Preview:
    """The message rendered for a case's member, or for a sample member of whom all is known.

    `types` are the events that journeys start by.

    Raises UsageError for what does not exist, ContentError where the template is not sound for this member.
    """
    files, problems = read_templates(folder)
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name != LAYOUT)
    if journey not in names:
        raise UsageError(f"there is no journey {journey}; {nearest(journey, names)}")
    files = [file for file in files if file.journey in (journey, LAYOUT)]
    problems = [problem for problem in problems if Path(problem.file).parent.name in (journey, LAYOUT)]
    templates = compile_templates(files, default_locale, problems)
    if not templates.has(journey, message, channel):
        there = sorted({f"{j} {m} --channel {c}" for j, m, c, _ in templates})
        raise UsageError(f"there is no {message} for {channel} in {journey}; there is: {', '.join(there) or 'nothing'}")
    sample = _sample(folder, journey, identity, locale or default_locale, case, types)
    sample = with_voucher(sample, promise_of(folder, journey, message))
    member = sample.context["member"]
    own = str(member.get("locale", "")) if isinstance(member, dict) else ""
    try:
        words = templates.render(journey, message, channel, locale or own or default_locale, sample.context)
    except RenderError as error:
        raise ContentError([Problem(f"templates/{journey}", 1, f"{error}, for {sample.who}")]) from None
    return Preview(
        journey=journey,
        message=message,
        channel=channel,
        locale=words.locale,
        who=sample.who,
        subject=words.subject,
        html=words.html,
        text=words.text,
        segments=segments(words.text).count if channel == "sms" else 0,
        purpose=occasion_of(folder, journey).purpose,
        template=words.template,
        content_sid=words.content_sid,
        template_language=words.template_language,
        variables=words.variables,
        media=words.media,
    )


def _sample(folder: Path, journey: str, identity: Identity, locale: str, case: str, types: EventTypes) -> Sample:
    occasion = occasion_of(folder, journey)
    if not case:
        return samples(occasion, locale, identity, journey, types)[-1]
    path = folder / journey / "cases.yaml"
    cases = {item.name: item for item in read_cases(path, path.relative_to(folder.parent).as_posix(), types)}
    if case not in cases:
        raise UsageError(f"there is no case {case!r}; {nearest(case, cases)}")
    return of_case(cases[case], occasion, identity, journey, types)
