"""A journey beside the shipped ones that is over in seconds: on the wall's clock it ends within a test, by ticks."""

from __future__ import annotations

from pathlib import Path

JOURNEY = """\
journey: quick
purpose: service
trigger: {event: social.mentioned}
reentry: each
exit: [complaint.opened]
steps:
  - wait: PT1S
  - send: heard
    channels: [email, sms]
    valid_for: PT2S
  - wait: PT1S
  - send: answer
    channels: [sms]
    valid_for: PT1S
"""
FILES = {
    "journey.yaml": JOURNEY,
    "heard.email.en.mjml.j2": "<mj-section><mj-column><mj-text>Heard you</mj-text></mj-column></mj-section>\n",
    "heard.email.en.txt.j2": "Subject: Heard\n\n{{ event.network }}\n",
    "heard.sms.en.txt.j2": "Heard on {{ event.network }}\n",
    # it can't be written to members without the attribute, which is a silence as well
    "answer.sms.en.txt.j2": "Thank you, {{ member.attributes.nickname }}\n",
}


def write(templates: Path) -> None:
    """Puts the journey into a project's folder of templates."""
    folder = templates / "quick"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
