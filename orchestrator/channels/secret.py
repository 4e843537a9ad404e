"""Secrets of provider accounts: read once from the environment or a file, shown by no repr and no log."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.errors import SetupError


class Secret:
    """A key, token or password. `reveal` hands it to whoever builds the request; nothing else shows it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self._value)

    def __repr__(self) -> str:
        """Stars."""
        return "Secret('********')"


def read_secret(variable: str, setting: str, *, required: bool = True) -> Secret:
    """The secret that the environment variable holds, or the file that `<variable>_FILE` names, without line ends.

    `setting` is the one that names the variable, for whoever has to cure it. Raises SetupError where the secret is
    required and missing, where the file can't be read, and where it could not stand in a header (spaces, line breaks).
    """
    value = os.environ.get(variable, "")
    if not value and (named := os.environ.get(f"{variable}_FILE", "")):
        try:
            value = Path(named).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not text"
            raise SetupError(f"{variable}_FILE names {named}, which can't be read: {why}") from None
    if not value and required:
        raise SetupError(
            f"{setting}: put the secret into the variable {variable}, or its file's name into {variable}_FILE"
        )
    if value and not (value.isascii() and value.isprintable() and " " not in value):
        raise SetupError(f"{setting}: the secret in {variable} holds spaces, line breaks or letters outside ASCII")
    return Secret(value)


def read_secrets(variable: str, setting: str) -> tuple[Secret, ...]:
    """The secrets that a provider may sign with; none where neither is set.

    One is that of `variable`, another, while it is being replaced, that of `<variable>_PREVIOUS`.
    """
    named = (variable, f"{variable}_PREVIOUS")
    return tuple(secret for name in named if (secret := read_secret(name, setting, required=False)))
