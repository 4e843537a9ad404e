"""A new journey to begin with: its file, one message in three languages, and cases that hold."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct

from orchestrator.errors import SetupError, UsageError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,60}")

_JOURNEY = """\
# What this journey is for, in a sentence or two. All that may stand here: templates/README.md
journey: {name}
purpose: marketing
trigger: {{event: purchase.completed, where: "event.amount >= 500", fresh_for: P2D}}
audience: "member.status == 'enrolled'"
reentry: P30D
exit: [member.cancelled]
steps:
  - send: hello
    channels: [email, sms]
    valid_for: P2D
"""

_EMAIL = """\
<mj-section mj-class="hero">
  <mj-column css-class="text">
    <mj-text mj-class="headline" css-class="headline">{hello}</mj-text>
  </mj-column>
</mj-section>
<mj-section mj-class="last-card">
  <mj-column css-class="text">
    <mj-text>{body}</mj-text>
    <mj-text mj-class="sign">{{{{ programme }}}}</mj-text>
  </mj-column>
</mj-section>
"""

_TEXT = """\
Subject: {hello}

{hello}

{body}

{{{{ programme }}}}
"""

_SMS = "{hello}. {{{{ programme|truncate(30) }}}}. {stop}\n"

# language -> greeting by name, greeting without one, body, how to leave
_WORDS = {
    "en": ("Hello, ", "Hello", "Here stands what we have to say.", "Reply STOP to opt out."),
    "es": ("Hola, ", "Hola", "Aquí va lo que queremos decir.", "Responde BAJA para no recibir más."),
    "pt": ("Olá, ", "Olá", "Aqui vai o que temos a dizer.", "Responda SAIR para parar."),
}

_MEMBER = """\
    given_name: Lucía
    locale: es
    country: ES
    contact_points: [{channel: email, address: lucia@example.com}]
    consents: [{channel: email, wording: w1, method: web form, evidence: form 1}]
"""

_CASE = """\
- name: {sentence}
  member:
{member}  events:
    - type: purchase.completed
      time: 2026-11-24T10:00:00Z
      data: {{purchase_id: p-1, amount: {amount}, currency: EUR}}
  until: 2026-11-24T12:00:00Z
  expect:{expected}
"""


class Scaffold(Struct, frozen=True, kw_only=True):
    """What was written."""

    journey: str
    # relative to the project
    written: tuple[str, ...]


def scaffold(project: Path, name: str) -> Scaffold:
    """Writes `templates/<name>/` into a project that has templates of its own.

    Raises UsageError for a name that is none, and where the folder is there already; SetupError where the project has
    no `templates/`.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a journey: small letters, digits and hyphens, such as second-visit")
    if not (project / "templates").is_dir():
        raise SetupError(f"{project / 'templates'} does not exist; make a project with: orchestrator init")
    folder = project / "templates" / name
    if folder.exists():
        raise UsageError(f"templates/{name} is there already; choose another name")
    files = _files(name)
    try:
        folder.mkdir()
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SetupError(f"{folder} can't be written: {error.strerror}") from None
    return Scaffold(journey=name, written=tuple(f"templates/{name}/{file}" for file in files))


def _files(name: str) -> dict[str, str]:
    files = {"journey.yaml": _JOURNEY.format(name=name), "cases.yaml": _cases(name)}
    for language, (by_name, plain, body, stop) in _WORDS.items():
        hello = f'{{{{ "{by_name}" ~ member.given_name if member.given_name else "{plain}" }}}}'
        short = f'{{{{ "{by_name}" ~ member.given_name|truncate(20) if member.given_name else "{plain}" }}}}'
        files[f"hello.email.{language}.mjml.j2"] = _EMAIL.format(hello=hello, body=body)
        files[f"hello.email.{language}.txt.j2"] = _TEXT.format(hello=hello, body=body)
        files[f"hello.sms.{language}.txt.j2"] = _SMS.format(hello=short, stop=stop)
    return files


def _cases(name: str) -> str:
    touch = f"\n    - {{journey: {name}, step: hello, channel: email, locale: es, contains: [Lucía], lacks: [None]}}"
    silence = f"\n    - {{journey: {name}, step: hello, verdict: suppress, reason: no_consent}}"
    unproven = "".join(line + "\n" for line in _MEMBER.splitlines() if "consents" not in line)
    told = (
        ("For 500 cents there is a message", _MEMBER, 500, touch),
        ("For 499 cents there is none", _MEMBER, 499, " []"),
        ("Without a consent there is none either, and the log says why", unproven, 500, silence),
    )
    head = "# What members hear of this journey, and what not: both sides of each boundary.\n"
    return head + "\n".join(
        _CASE.format(sentence=sentence, member=member, amount=amount, expected=expected)
        for sentence, member, amount, expected in told
    )
