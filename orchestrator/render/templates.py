"""The compiled templates of one content revision. Rendering reads no file: all was read and compiled at load."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from babel.core import Locale, UnknownLocaleError
from msgspec import Struct

from orchestrator.render.contract import Rendered, RenderError
from orchestrator.render.program import Program

# characters of a subject or preheader; RFC 5322 allows a header line 998 octets
SUBJECT_LIMIT = 200
# characters of an SMS: ten segments, more than any carrier carries
SMS_LIMIT = 1_530
_UNFIT_IN_HEADER = re.compile(r"[\r\n\0\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


class Compiled(Struct, frozen=True, kw_only=True):
    """One message on one channel in one locale."""

    locale: str
    text: Program
    subject: Program | None = None
    preheader: Program | None = None
    html: Program | None = None
    # where the subject stands, for errors
    place: str = ""

    def render(self, context: Mapping[str, object], wanted: str) -> Rendered:
        """The words for this context; raises RenderError.

        Numbers and dates are written as in `wanted` (es-MX), where that is a locale of the text's own language.
        """
        tongue = written_as(wanted, self.locale)
        if self.subject is None:
            return Rendered(locale=self.locale, text=self.text.run(context, tongue, SMS_LIMIT).strip())
        subject = self._header(self.subject, context, tongue, "subject")
        if not subject:
            raise RenderError(f"{self.place}: the subject is empty")
        preheader = self._header(self.preheader, context, tongue, "preheader") if self.preheader is not None else ""
        data = {**context, "subject": subject, "preheader": preheader}
        return Rendered(
            locale=self.locale,
            subject=subject,
            html=self.html.run(data, tongue) if self.html is not None else "",
            text=self.text.run(data, tongue).strip() + "\n",
        )

    def _header(self, program: Program, context: Mapping[str, object], tongue: str, name: str) -> str:
        value = program.run(context, tongue, SUBJECT_LIMIT).strip()
        if _UNFIT_IN_HEADER.search(value):
            raise RenderError(f"{self.place}: the {name} would hold a line break or NUL")
        return value

    def programs(self) -> Iterator[Program]:
        """All parts of it."""
        return (part for part in (self.subject, self.preheader, self.html, self.text) if part is not None)


class CompiledTemplates:
    """Implements `render.contract.Templates`. Frozen in effect: nothing changes it after load."""

    __slots__ = ("_default", "_messages")

    def __init__(self, messages: Mapping[tuple[str, str, str], Mapping[str, Compiled]], default_locale: str) -> None:
        """`messages`: (journey, message, channel) → locale → compiled; locales as `canonical` gives them."""
        self._messages = {key: dict(locales) for key, locales in messages.items()}
        self._default = default_locale

    def render(self, journey: str, message: str, channel: str, locale: str, context: Mapping[str, object]) -> Rendered:
        """The words of `message` in the best of the locales it has: exact, then language, then the house default.

        Raises RenderError on an undefined field, a missing template, or a bound (steps, output) exceeded.
        """
        return self.compiled(journey, message, channel, locale).render(context, locale)

    def compiled(self, journey: str, message: str, channel: str, locale: str) -> Compiled:
        """What `render` renders; raises RenderError where there is none."""
        locales = self._messages.get((journey, message, channel))
        if not locales:
            raise RenderError(f"templates/{journey}: there is no {message} for {channel}")
        found = best(locale, locales) or best(self._default, locales)
        if found is None:
            raise RenderError(f"templates/{journey}: {message} for {channel} has no text in the house locale")
        return locales[found]

    def has(self, journey: str, message: str, channel: str) -> bool:
        """Whether this message exists for this channel in any locale."""
        return (journey, message, channel) in self._messages

    def __iter__(self) -> Iterator[tuple[str, str, str, str]]:
        """(journey, message, channel, locale) of every text, in order."""
        return iter(sorted((*key, locale) for key, locales in self._messages.items() for locale in locales))


@lru_cache(maxsize=1024)
def written_as(wanted: str, own: str) -> str:
    """The locale for numbers and dates: the wanted one, if known and of the text's own language; else the text's."""
    if canonical(wanted).partition("-")[0] != own.partition("-")[0]:
        return own
    try:
        Locale.parse(canonical(wanted).replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        return own
    return canonical(wanted)


def canonical(locale: str) -> str:
    """`es_mx` and `ES-MX` as `es-MX`."""
    language, _, rest = locale.replace("_", "-").partition("-")
    return f"{language.lower()}-{rest.upper()}" if rest else language.lower()


def best(wanted: str, available: Mapping[str, object]) -> str | None:
    """The locale to use: exact, the language alone, another region of the language (first in order), or none."""
    if wanted in available:
        return wanted
    exact = canonical(wanted)
    if exact in available:
        return exact
    language = exact.partition("-")[0]
    if language in available:
        return language
    return min((name for name in available if name.partition("-")[0] == language), default=None)
