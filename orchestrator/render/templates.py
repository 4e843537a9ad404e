"""The compiled templates of one content revision. Rendering reads no file: all was read and compiled at load."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from babel.core import Locale, UnknownLocaleError
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.render.contract import Rendered, RenderError
from orchestrator.render.program import Program

# characters of what stands on one line; RFC 5322 allows a header line 998 octets
HEADER_LIMIT = {"subject": 200, "preheader": 200, "variable": 1_024, "address of the picture": 2_000}
# characters of an SMS: ten segments, more than any carrier carries
SMS_LIMIT = 1_530
# characters of a text on WhatsApp and Telegram
CHAT_LIMIT = 4_096
_UNFIT_IN_HEADER = re.compile(r"[\r\n\0\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


class Approved(Struct, frozen=True, kw_only=True):
    """A text that the channel's provider approved beforehand, and the values that this message fills it with."""

    # its name at Meta, or ""
    name: str = ""
    # its sid at Twilio, or ""
    content_sid: str = ""
    # as the provider writes it: es_MX
    language: str
    # of {{1}}, {{2}}, …
    variables: tuple[Program, ...] = ()


class Compiled(Struct, frozen=True, kw_only=True):
    """One message on one channel in one locale."""

    locale: str
    text: Program
    subject: Program | None = None
    preheader: Program | None = None
    html: Program | None = None
    approved: Approved | None = None
    media: Program | None = None
    # characters of the text at most, where it stands alone
    limit: int = SMS_LIMIT

    def render(self, context: Mapping[str, object], wanted: str) -> Rendered:
        """The words for this context; raises RenderError.

        Numbers and dates are written as in `wanted` (es-MX), where that is a locale of the text's own language.
        """
        tongue = written_as(wanted, self.locale)
        if self.subject is None:
            return self._alone(context, tongue)
        subject = _filled(self.subject, context, tongue, "subject")
        preheader = _line(self.preheader, context, tongue, "preheader") if self.preheader is not None else ""
        data = {**context, "subject": subject, "preheader": preheader}
        return Rendered(
            locale=self.locale,
            subject=subject,
            html=self.html.run(data, tongue) if self.html is not None else "",
            text=self.text.run(data, tongue).strip() + "\n",
        )

    def _alone(self, context: Mapping[str, object], tongue: str) -> Rendered:
        """A text without HTML."""
        words = Rendered(
            locale=self.locale,
            text=self.text.run(context, tongue, self.limit).strip(),
            media="" if self.media is None else _filled(self.media, context, tongue, "address of the picture"),
        )
        if self.approved is None:
            return words
        approved = self.approved
        return replace(
            words,
            template=approved.name,
            content_sid=approved.content_sid,
            template_language=approved.language,
            # runs of space, which the provider would refuse, are one
            variables=tuple(
                " ".join(_filled(program, context, tongue, "variable").split()) for program in approved.variables
            ),
        )

    def programs(self) -> Iterator[Program]:
        """All parts of it."""
        variables = () if self.approved is None else self.approved.variables
        parts = (self.subject, self.preheader, self.html, self.text, self.media, *variables)
        return (part for part in parts if part is not None)


def _filled(program: Program, context: Mapping[str, object], tongue: str, name: str) -> str:
    """One line that says something: no provider takes a message without a subject, or a template with a gap in it."""
    value = _line(program, context, tongue, name)
    if not value:
        file, line = program.place(1)
        raise RenderError(f"{file}:{line}: the {name} is empty")
    return value


def _line(program: Program, context: Mapping[str, object], tongue: str, name: str) -> str:
    value = program.run(context, tongue, HEADER_LIMIT[name]).strip()
    if _UNFIT_IN_HEADER.search(value):
        file, line = program.place(1)
        raise RenderError(f"{file}:{line}: the {name} would hold a line break or NUL")
    return value


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
        found = self._found(journey, message, channel, locale)
        if found is None:
            if not self.has(journey, message, channel):
                raise RenderError(f"templates/{journey}: there is no {message} for {channel}")
            raise RenderError(f"templates/{journey}: {message} for {channel} has no text in the house locale")
        return found

    def _found(self, journey: str, message: str, channel: str, locale: str) -> Compiled | None:
        locales = self._messages.get((journey, message, channel), {})
        found = best(locale, locales) or best(self._default, locales)
        return None if found is None else locales[found]

    def is_approved(self, journey: str, message: str, channel: str, locale: str) -> bool:
        """Whether the text that `render` takes names one that the channel's provider approved; False without a text."""
        found = self._found(journey, message, channel, locale)
        return found is not None and found.approved is not None

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
