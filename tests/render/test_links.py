"""Link parameters go to the programme's own links, once, and leave the rest of the text as it was."""

from __future__ import annotations

import pytest

from orchestrator.render.links import with_parameters

SITE = "https://club.example"
UTM = (("utm_source", "club"), ("utm_campaign", "two words"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("See https://club.example/a.", "See https://club.example/a?utm_source=club&utm_campaign=two%20words."),
        ("https://club.example", "https://club.example?utm_source=club&utm_campaign=two%20words"),
        ("https://club.example/a?b=1#c", "https://club.example/a?b=1&utm_source=club&utm_campaign=two%20words#c"),
        ("https://club.example/?utm_source=x", "https://club.example/?utm_source=x&utm_campaign=two%20words"),
        ("https://club.example.evil/a", "https://club.example.evil/a"),
        ("https://other.example/a", "https://other.example/a"),
        ("(https://club.example/a)", "(https://club.example/a?utm_source=club&utm_campaign=two%20words)"),
    ],
)
def test_links_to_the_site_get_the_parameters_that_they_lack(given: str, expected: str) -> None:
    assert expected == with_parameters(given, SITE, UTM, html=False)


def test_in_html_they_are_written_as_html() -> None:
    html = '<a href="https://club.example/a?b=1&amp;c=2">x</a>'
    expected = '<a href="https://club.example/a?b=1&amp;c=2&amp;utm_source=club&amp;utm_campaign=two%20words">x</a>'
    assert expected == with_parameters(html, SITE, UTM, html=True)


def test_without_parameters_nothing_changes() -> None:
    assert "https://club.example" == with_parameters("https://club.example", SITE, (), html=True)
