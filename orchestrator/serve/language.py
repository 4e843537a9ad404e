"""In which language somebody is spoken to whose profile is not at hand: as their browser or mail reader asks."""

from __future__ import annotations

SPOKEN = ("en", "es", "pt")


def asked_for(accept_language: str, fallback: str) -> str:
    """The first of SPOKEN by the weights of the header (RFC 9110, 12.5.4), else that of `fallback`, else English."""
    weighed: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept_language[:500].split(",")):
        name, _, weight = part.partition(";")
        try:
            q = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        weighed.append((-q, place, name.strip().lower()[:2]))
    for _, _, language in sorted(weighed):
        if language in SPOKEN:
            return language
    return language_of(fallback)


def language_of(locale: str) -> str:
    """The language of SPOKEN that a locale is in, else English."""
    return locale[:2].lower() if locale[:2].lower() in SPOKEN else "en"
