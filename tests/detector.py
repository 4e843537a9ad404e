"""Looks for what must not be told (addresses, numbers, secrets) in all log lines and errors of ours of a test run.

It hears the root logger and whatever is logged below it, what structlog says, and each error of ours as it is made.
What it finds is a failure of the test in which it was told (`conftest.py`).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import structlog

from orchestrator.errors import OrchestratorError

ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}", re.IGNORECASE)
NUMBER = re.compile(r"\+\d{8,15}\b")
# who writes is no secret: senders of the shipped policies
OURS = frozenset({"club@example.com", "help@example.com", "+15555550100"})
# environment variables that hold secrets, by how their names end
SECRET_NAMES = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
# shorter ones stand in any text
SECRET_LENGTH = 8
# loggers of the servers that tests run as a provider's: what those hear, they may tell
THEIRS = ("tests", "mail", "aiosmtpd", "werkzeug", "uvicorn")
# loggers of client libraries that write what they send where one lets them: let them, so that our gag is tried
TALKATIVE = ("httpx", "httpcore", "python_http_client", "twilio", "urllib3", "aiosmtplib", "smtplib")


def found_in(text: str, environment: Mapping[str, str] = os.environ) -> list[str]:
    """What of a text must not be told: kinds and the first letters, never the whole."""
    told = [f"address {hit[0][:3]}…" for hit in ADDRESS.finditer(text) if hit[0].lower() not in OURS]
    told += [f"number {hit[0][:4]}…" for hit in NUMBER.finditer(text) if hit[0] not in OURS]
    told += [f"secret {name}" for name, value in _secrets(environment) if value in text]
    return told


def _secrets(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in environment.items():
        if name.startswith("ORCHESTRATOR_") and name.endswith(SECRET_NAMES) and len(value) >= SECRET_LENGTH:
            yield name, value


class Detector(logging.Handler):
    """Hears everything; keeps what it found until it is taken."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(message)s"))
        self._found: list[str] = []
        self.heard = 0

    def install(self) -> None:
        """From now on, for the whole process."""
        logging.getLogger().addHandler(self)
        for name in ("orchestrator", *TALKATIVE):
            logging.getLogger(name).setLevel(logging.DEBUG)
        self.listen()
        OrchestratorError.__init__ = self._erring  # type: ignore[method-assign] # every error of ours is made there

    def listen(self) -> None:
        """Hears structlog, also after a test has configured it anew."""
        processors = structlog.get_config()["processors"]
        if self._structured not in processors:
            structlog.configure(processors=[self._structured, *processors])

    def look(self, source: str, text: str) -> None:
        """Looks at one text."""
        self.heard += 1
        self._found += [f"{what} in {source}" for what in found_in(text)]

    def take(self) -> list[str]:
        """What was found since the last time."""
        found, self._found = self._found, []
        return found

    def emit(self, record: logging.LogRecord) -> None:
        """Hears a log record, traceback included."""
        if record.name.partition(".")[0] not in THEIRS:
            self.look(f"log {record.name}", self.format(record))

    def _structured(self, _logger: object, _method: str, event: Any) -> Any:
        self.look("log of structlog", repr(event))
        return event

    @property
    def _erring(self) -> Any:
        detector = self

        def __init__(error: OrchestratorError, *args: object) -> None:  # noqa: N807 - it takes the place of one
            Exception.__init__(error, *args)
            detector.look(type(error).__name__, str(error))

        return __init__


def worth_telling(found: Iterable[str]) -> str:
    """The failure's text."""
    return "personal data or secrets were told:\n" + "\n".join(sorted(set(found)))
