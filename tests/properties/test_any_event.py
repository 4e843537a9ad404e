"""Whatever a schema lets in can be applied: no event that was taken is quarantined in its member's turn."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from orchestrator.events.envelope import Event
from orchestrator.events.types import EVENT_TYPES
from orchestrator.stores.memory import MemoryStore
from orchestrator.testing.builders import event
from orchestrator.testing.world import World, shipped_content
from orchestrator.vault import KeyFile, Vault

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
# what addresses look like that somebody typed: the same few, so that members share them
ODD = [
    *(
        "ann@example.com",
        "Ann@Example.COM",
        "nowhere",
        "a@b",
        '"a b"@example.com',
        "ñandú@exámple.com",
        "a@[127.0.0.1]",
    ),
    *("+34600111222", "600111222", "+12", "+521551234567890", "+5215512345678", "+1 (212) 555-0187", "tel:+34", "911"),
    *(
        "MX.13491208655302741918",
        "ES.ENT.123456",
        "7000111222",
        "-1001234",
        "\u0661\u0662\u0663\u0664",
        "+٣٤٦٠٠١١١٢٢٢",
        "   ",
    ),
    *("x" * 320, "\x00\x00\x00", "😀😀😀", "%s%s%s", "{{ x }}"),
]
NAMED = {
    "address": st.sampled_from(ODD),
    "sender": st.sampled_from(ODD),
    "zone": st.sampled_from(["UTC", "Europe/Madrid", "Mars/Olympus", "../etc/passwd", "localtime", " "]),
    "country": st.sampled_from(["ES", "US", "MX", "CO", "XX", "ZZ"]),
    "region": st.sampled_from(["US-NY", "ES-MD", "XX-1", "US-ZZZ"]),
    "locale": st.sampled_from(["es-MX", "pt", "en-", "zz-ZZ", "x", "ES_es", "-"]),
}


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault(KeyFile.create(Path(tmp_path_factory.mktemp("keys")) / "key", datetime(2026, 1, 1, tzinfo=UTC)))


def values(kind: inspect.Type) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0912 - a table
    """JSON values that a type takes."""
    match kind:
        case inspect.Metadata():
            return values(kind.type)
        case inspect.StrType(pattern=pattern) if pattern:
            return st.from_regex(pattern, fullmatch=True)
        case inspect.StrType():
            return st.text(min_size=kind.min_length or 0, max_size=min(kind.max_length or 30, 30))
        case inspect.IntType():
            low, high = -(2**53) if kind.ge is None else kind.ge, 2**53 if kind.le is None else kind.le
            return st.sampled_from(sorted({low, high, max(low, min(0, high))})) | st.integers(low, high)
        case inspect.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
        case inspect.DateTimeType():
            return st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
        case inspect.DateType():
            return st.dates(date(1, 1, 1), date(9999, 12, 31)).map(date.isoformat)
        case inspect.VarTupleType():
            return st.lists(
                values(kind.item_type), min_size=kind.min_length or 0, max_size=min(kind.max_length or 4, 4)
            )
        case inspect.DictType():
            return st.dictionaries(values(kind.key_type), values(kind.value_type), max_size=4)
        case inspect.UnionType():
            return st.one_of([values(each) for each in kind.types])
        case inspect.StructType():
            required = {field.encode_name: _of(field) for field in kind.fields if field.required}
            optional = {field.encode_name: _of(field) for field in kind.fields if not field.required}
            return st.fixed_dictionaries(required, optional=optional)
    raise TypeError(type(kind).__name__)


def _of(field: inspect.Field) -> st.SearchStrategy[Any]:
    known = NAMED.get(field.encode_name)
    return values(field.type) if known is None else known


@st.composite
def events(draw: st.DrawFn) -> list[Event]:
    """A few events of three members, in order, each as its type lets it in."""
    made: list[Event] = []
    for n in range(draw(st.integers(1, 6))):
        type_ = draw(st.sampled_from(sorted(EVENT_TYPES)))
        data = draw(values(inspect.type_info(EVENT_TYPES[type_])))
        at = NOW + timedelta(hours=n)
        try:
            made.append(event(type_, draw(st.sampled_from(["ann", "bea", "eve"])), at, data, id=f"{n}"))
        except msgspec.ValidationError:
            # what the type refuses as a whole
            continue
    return made


@settings(max_examples=max(60, settings().max_examples))
@given(given=events())
@example(
    given=[
        event("member.enrolled", who, NOW, {"contact_points": [{"channel": "sms", "address": "no number"}]})
        for who in ("ann", "bea")
    ]
)
def test_no_event_that_was_taken_fails_in_its_turn(vault: Vault, given: list[Event]) -> None:
    world = World(MemoryStore(2), vault, shipped_content())
    world.live(*given, until=(NOW + timedelta(days=3)).isoformat())
    world.check()
