"""What differs between two states of the content files, in the words of whoever wrote them.

Files are compared as they are read, so that an edit of comments is told from one of rules: journeys step by step,
policies and laws rule by rule, texts line by line. They need not compile.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import msgspec
from msgspec import Struct

# whose absence means that all of its folder came or went
_HEADS = ("journey.yaml", "pack.yaml")
# of a step: what it does, and its name where it has one
_STEPS = ("send", "wait", "until", "branch", "split", "gather", "repeat", "tag", "untag", "exit")
_NAMED = ("send",)
_ORDER = ("journey", "text", "layout", "policy", "law", "event type", "cases", "effects")
_NOTHING = object()


class Change(Struct, frozen=True, kw_only=True):
    """One thing that differs."""

    # journey, text, layout, policy, law, event type, cases, effects; else what the file is called: topics, vouchers
    kind: str
    # whose: the journey, the channel, the jurisdiction, the event type
    name: str
    # which part of it; "" where all of it came or went
    what: str
    # None: it was not there
    before: str | None
    # None: it is there no more; both None: only comments or the way of writing differ
    after: str | None


class _Place(NamedTuple):
    """What a file is to people."""

    kind: str
    name: str
    part: str = ""


def differences(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[Change, ...]:
    """What differs between two sets of content files by their paths, by kind, name and place; nothing where none do."""
    whole = _whole(before, after)
    found: list[Change] = []
    for path in sorted(before.keys() | after.keys()):
        was, now = before.get(path), after.get(path)
        folder = str(PurePosixPath(path).parent)
        if was != now and (folder not in whole or PurePosixPath(path).name in _HEADS):
            found.extend(_file(_place(path), path, was, now))
    rank = {kind: n for n, kind in enumerate(_ORDER)}
    return tuple(sorted(found, key=lambda change: (rank.get(change.kind, len(rank)), change.name)))


def _whole(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> set[str]:
    """Folders of journeys and law packs that only one side has."""
    heads = {path for path in before.keys() ^ after.keys() if PurePosixPath(path).name in _HEADS}
    return {str(PurePosixPath(path).parent) for path in heads}


def _place(path: str) -> _Place:
    top, *middle, file = path.split("/")
    stem, _, rest = file.partition(".")
    if top == "schemas":
        return _Place("event type", file.removesuffix(".v1.json"))
    if file == "golden.json":
        return _Place("effects", "policies")
    if file.endswith("cases.yaml"):
        return _Place("cases", middle[-1] if middle else stem)
    if top == "channel_policies":
        return _Place("law", middle[-1]) if middle else _Place("policy", stem)
    if not middle:
        return _Place(stem, file)
    if file == "journey.yaml":
        return _Place("journey", middle[0])
    kind = "layout" if middle[0].startswith("_") else "text"
    return _Place(kind, middle[0], f"{stem} › {rest.removesuffix('.j2').replace('.', ' ')}")


def _file(place: _Place, path: str, was: bytes | None, now: bytes | None) -> Iterator[Change]:
    read = _read(path, was), _read(path, now)
    if was is None or now is None or place.kind == "effects":
        old, new = (
            None if body is None else _summary(place, value, body) for body, value in zip((was, now), read, strict=True)
        )
        yield Change(kind=place.kind, name=place.name, what=place.part, before=old, after=new)
    elif _NOTHING in read:
        for old, new in _lines(was, now):
            yield Change(kind=place.kind, name=place.name, what=place.part, before=old, after=new)
    elif read[0] == read[1]:
        yield Change(kind=place.kind, name=place.name, what="comments or layout alone", before=None, after=None)
    else:
        for at, old, new in _compared(*read, ()):
            yield Change(kind=place.kind, name=place.name, what=_path(at), before=old, after=new)


def _read(path: str, body: bytes | None) -> object:
    """What a file of names and values holds; `_NOTHING` for texts, and for what can't be read as such."""
    if body is None:
        return _NOTHING
    try:
        if path.endswith(".json"):
            return msgspec.json.decode(body)
        if path.endswith((".yaml", ".yml")):
            return msgspec.yaml.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    return _NOTHING


def _summary(place: _Place, value: object, body: bytes) -> str:
    """All of a file in a line."""
    if place.kind == "journey" and isinstance(value, Mapping) and isinstance(value.get("steps"), list):
        return ", ".join(_step(row) for row in value["steps"] if isinstance(row, Mapping))
    if place.kind == "law" and isinstance(value, Mapping) and _is_rows(value.get("rules")):
        return ", ".join(dict.fromkeys(str(rule.get("id")) for rule in value["rules"]))
    lines = body.count(b"\n")
    return f"{lines:,} line{'' if lines == 1 else 's'}"


def _step(row: Mapping[str, object]) -> str:
    """A step in a few words: `send hello`, `wait P3D`, `branch`."""
    word = next((word for word in _STEPS if word in row), "step")
    return f"{word} {row[word]}" if isinstance(row.get(word), str | int) else word


def _lines(was: bytes, now: bytes) -> Iterator[tuple[str | None, str | None]]:
    """The stretches of lines that differ."""
    old, new = was.decode(errors="replace").splitlines(), now.decode(errors="replace").splitlines()
    for tag, i, j, k, n in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield "\n".join(old[i:j]) if j > i else None, "\n".join(new[k:n]) if n > k else None


def _compared(
    was: object, now: object, at: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str | None, str | None]]:
    """(where, before, after) of each part that differs, as deep as both have it."""
    if was == now:
        return
    if _is_rows(was) and _is_rows(now):
        olds, news = _labelled(was), _labelled(now)  # type: ignore[arg-type]
        if [name for name in olds if name in news] != [name for name in news if name in olds]:
            yield (*at, "order"), ", ".join(olds), ", ".join(news)
        # `steps`, `entries`, `rules`: what is in them says so by itself
        yield from _compared(olds, news, at[1:] if len(at) == 1 else at)
    elif isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*was, *now]):
            yield from _compared(was.get(key, _NOTHING), now.get(key, _NOTHING), (*at, str(key)))
    else:
        yield at, _words(was), _words(now)


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _labelled(rows: Sequence[Mapping[str, object]]) -> dict[str, Mapping[str, object]]:
    """Rows by what people call them; the second of a name is "name (2)"."""
    found: dict[str, Mapping[str, object]] = {}
    named = "the start"
    for n, row in enumerate(rows, 1):
        word = next((word for word in _STEPS if word in row), "")
        if word in _NAMED:
            named = str(row[word])
            label = f"{word} {named}"
        elif word:
            label = f"{word} after {named}"
        else:
            label = _name(row) or f"{n}."
        again, taken = 1, label
        while taken in found:
            again += 1
            taken = f"{label} ({again})"
        found[taken] = row
    return found


def _name(row: Mapping[str, object]) -> str:
    if "id" in row:
        effective = row.get("effective")
        since = effective.get("from") if isinstance(effective, Mapping) else None
        return f"{row['id']} from {since}" if since else str(row["id"])
    if "effective" in row:
        return f"from {row['effective']}"
    return str(row.get("name", ""))


def _path(at: Sequence[str]) -> str:
    """The way to a part; `wait after hello › wait` says its last word twice."""
    return " › ".join(word for i, word in enumerate(at) if i == 0 or not at[i - 1].startswith(f"{word} "))


def _words(value: object) -> str | None:
    if value is _NOTHING:
        return None
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_words(part)}" for name, part in value.items()) or "nothing"
    if _is_rows(value):
        return ", ".join(_labelled(value))  # type: ignore[arg-type]
    if isinstance(value, list):
        return ", ".join(str(_words(part)) for part in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
