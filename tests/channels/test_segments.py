"""How many parts an SMS has."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orchestrator.channels.segments import segments


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


def test_agrees_with_the_calculator_of_a_carrier() -> None:
    folder = os.environ.get("REFERENCE_DATA")
    if not folder:
        pytest.skip("REFERENCE_DATA names no folder")
    cases = json.loads((Path(folder) / "contracts/sms/segment_vectors.json").read_bytes())["cases"]
    # smart encoding changes the text first, which is the provider's matter
    plain = [case for case in cases if not case["smart_encoding"]]
    assert plain
    for case in plain:
        cut = segments(case["text"])
        assert (case["name"], case["encoding"], case["segments"]) == (case["name"], cut.alphabet, cut.count)
