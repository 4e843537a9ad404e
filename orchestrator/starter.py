"""A starter project: settings with their sentences, a copy of all content, a key file.

The settings file is written from the types in `settings.py` and their comments, so that it can't tell another story.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from orchestrator import settings
from orchestrator.content import locate
from orchestrator.errors import SetupError, UsageError
from orchestrator.settings import Settings
from orchestrator.vault import KeyFile

GITIGNORE = """\
# Whoever has the key can read what is kept about members: it belongs in a vault, never in a repository.
keys/
# State and captured messages hold personal data.
*.db
*.db-*
captured/
"""

# A version-controlled folder counts as empty.
_PASSED_OVER = frozenset({".git"})


class Starter(Struct, frozen=True):
    """What `init` made."""

    project: Path
    # files written, relative to the project
    written: list[str]
    # files that were there before and stayed as they were
    kept: list[str]
    # the key file, relative to the project; keep a copy of it elsewhere
    key_file: str
    # commands to try next, in order
    next: list[str]


def create(folder: Path, *, force: bool = False) -> Starter:
    """Writes a starter project into `folder`, which is made where it does not exist.

    A folder that is not empty is refused with UsageError. `force` writes what is missing there and keeps every file
    that exists, the key file above all; so it also completes a starter that was interrupted. Raises SetupError where
    the disk refuses.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder")
    if not force and folder.is_dir() and any(entry.name not in _PASSED_OVER for entry in folder.iterdir()):
        raise UsageError(f"{folder} is not empty; name another folder, or add what is missing with --force")
    written: list[str] = []
    kept: list[str] = []
    key_file = settings.KeySettings().file
    try:
        for name, content in _files():
            (written if _put(folder / name, content) else kept).append(name)
        if (folder / key_file).exists():
            kept.append(key_file)
        else:
            KeyFile.create(folder / key_file)
            written.append(key_file)
    except OSError as error:
        raise SetupError(f"{folder} can't be written: {error.strerror}") from None
    steps = [f"cd {folder}", "orchestrator doctor", "orchestrator journey list", "orchestrator demo"]
    return Starter(project=folder.resolve(), written=written, kept=kept, key_file=key_file, next=steps)


def _files() -> Iterator[tuple[str, bytes]]:
    """Each file of a starter but the key: its path in the project, and its bytes."""
    yield settings.FILE, settings_file().encode()
    yield ".gitignore", GITIGNORE.encode()
    for name in locate.FOLDERS:
        source = locate.shipped(name)
        for path in sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{name}/{path.relative_to(source).as_posix()}", path.read_bytes()


def _put(path: Path, content: bytes) -> bool:
    """Writes a new file; False where there was one already, which stays as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


# --- the settings file


def settings_file() -> str:
    """The text of `orchestrator.toml` with every setting at its default, below the sentence that explains it."""
    head = (
        "# Settings of this project; all are at their defaults, and a line that is removed goes back to its default.\n"
        "# Secrets are never written here: they come from the key file or the environment.\n\n"
    )
    return head + "\n".join(_section(Settings(), ())) + "\n"


def _section(values: Struct, path: tuple[str, ...]) -> Iterator[str]:
    """The lines of one table of settings, its own keys first, then the tables within it."""
    sentences = sentences_of(type(values))
    tables: list[tuple[str, Struct | Mapping[str, Any]]] = []
    if path:
        yield from ("", *_comment(inspect.getdoc(type(values)) or ""), f"[{'.'.join(path)}]")
    for name, value in msgspec.structs.asdict(values).items():
        if isinstance(value, Struct | Mapping):
            tables.append((name, value))
        else:
            yield from (*_comment(sentences[name]), f"{name} = {_toml(value)}")
    for name, value in tables:
        if isinstance(value, Struct):
            yield from _section(value, (*path, name))
        else:
            yield from ("", *_comment(sentences[name]), f"[{'.'.join((*path, name))}]")
            yield from (f"{_key(key)} = {_toml(item)}" for key, item in value.items())


def sentences_of(table: type[Struct]) -> dict[str, str]:
    """For each field of a settings type the comment above it; "" where there is none."""
    source = textwrap.dedent(inspect.getsource(table))
    lines = source.splitlines()
    found: dict[str, str] = {}
    for node in ast.parse(source).body[0].body:  # type: ignore[attr-defined]  # the source of a class is one ClassDef
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above: list[str] = []
            for line in reversed(lines[: node.lineno - 1]):
                if not line.strip().startswith("#"):
                    break
                above.insert(0, line.strip().removeprefix("#").strip())
            found[node.target.id] = " ".join(above)
    return found


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, 100)]


def _key(name: str) -> str:
    """A key of a TOML table, quoted only where it must be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def _toml(value: str | bool | float) -> str:
    """A TOML value; JSON's strings, numbers and truth values are TOML's too."""
    return json.dumps(value, ensure_ascii=False)
