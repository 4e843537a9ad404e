"""A small, sound folder of templates to start from."""

from __future__ import annotations

from pathlib import Path

import pytest

JOURNEY = """\
journey: hi
purpose: marketing
trigger: {event: purchase.completed}
steps:
  - send: a
    channels: [email, sms]
"""
FILES = {
    "_layout/email.en.mjml.j2": "<mjml><mj-body>\n{# content #}\n<mj-section><mj-column><mj-text>"
    '<a href="{{ unsubscribe_url }}">stop</a></mj-text></mj-column></mj-section>\n</mj-body></mjml>\n',
    "_layout/email.en.txt.j2": "{# content #}\n--\n{{ unsubscribe_url }}\n",
    "hi/journey.yaml": JOURNEY,
    "hi/a.email.en.mjml.j2": (
        "<mj-section><mj-column>\n<mj-text>Hello {{ member.given_name }}</mj-text>\n</mj-column></mj-section>\n"
    ),
    "hi/a.email.en.txt.j2": (
        "Subject: Hello {{ member.given_name }}\nPreheader: pre\n\nHello,\n{{ member.given_name }}\n"
    ),
    "hi/a.sms.en.txt.j2": "Hello {{ member.given_name }}, reply STOP\n",
}


class Folder:
    """A folder of templates on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name: str, text: str | bytes) -> None:
        """Makes or replaces a file."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())

    def remove(self, name: str) -> None:
        """Takes a file away."""
        (self.path / name).unlink()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """The folder, new for each test."""
    return Folder(tmp_path / "templates")
