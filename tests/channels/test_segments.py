"""How many parts an SMS has."""

from __future__ import annotations

import json

import pytest

from orchestrator.channels.segments import segments
from tests.channels.providers import reference


@pytest.mark.parametrize(
    ("text", "alphabet", "count"),
    [
        ("", "GSM-7", 1),
        ("a" * 160, "GSM-7", 1),
        ("a" * 161, "GSM-7", 2),
        ("a" * 306, "GSM-7", 2),
        ("a" * 307, "GSM-7", 3),
        # a two-septet character is never parted: it moves on, and the part before stays short
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 3),
        ("ñ¿¡éàü", "GSM-7", 1),
        ("á" * 70, "UCS-2", 1),
        ("á" * 71, "UCS-2", 2),
        ("🎁" * 35, "UCS-2", 1),
        # 67 units hold 33 pairs
        ("🎁" * 67, "UCS-2", 3),
    ],
)
def test_parts_are_counted_as_networks_cut_them(text: str, alphabet: str, count: int) -> None:
    cut = segments(text)
    assert (alphabet, count) == (cut.alphabet, cut.count)


def test_the_characters_that_cost_are_named_once_each() -> None:
    assert ("á", "í") == segments("más días, más").outside


def test_agrees_with_every_vector_of_the_calculators_own_tests() -> None:
    cases = json.loads(reference("data/sms-segments/vectors.json").read_bytes())
    assert 51 == len(cases)
    for case in cases:
        cut = segments(case["body"])
        # a case gives only what it fixes; characters as a reader sees them are a page's matter, not a price's
        told = {"encoding": cut.alphabet, "segments": cut.count}
        if cut.alphabet == "GSM-7":
            told["message_bits"] = cut.units * 7
        fixed = {name: case[name] for name in told if name in case}
        assert (case["name"], fixed) == (case["name"], {name: told[name] for name in fixed})


def test_the_alphabet_is_the_published_one() -> None:
    table = json.loads(reference("data/sms-segments/gsm7.json").read_bytes())
    for char in table["basic"]:
        assert (char, 1, "GSM-7") == (char, segments(char).units, segments(char).alphabet)
    for char in table["extension"]:
        assert (char, 2, "GSM-7") == (char, segments(char).units, segments(char).alphabet)
    assert {char for char in map(chr, range(0x10000)) if segments(char).alphabet == "GSM-7"} == {
        *table["basic"], *table["extension"],
    }  # fmt: skip


def test_agrees_with_the_calculator_of_a_carrier() -> None:
    cases = json.loads(reference("contracts/sms/segment_vectors.json").read_bytes())["cases"]
    # smart encoding changes the text first, which is the provider's matter
    plain = [case for case in cases if not case["smart_encoding"]]
    assert plain
    for case in plain:
        cut = segments(case["text"])
        assert (case["name"], case["encoding"], case["segments"]) == (case["name"], cut.alphabet, cut.count)
