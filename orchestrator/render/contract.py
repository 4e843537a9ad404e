"""What rendering takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct


class Rendered(Struct, frozen=True, kw_only=True):
    """The words of one message."""

    locale: str
    subject: str = ""
    html: str = ""
    text: str = ""
    # a text that the channel's provider approved beforehand: name, content sid, language, values in order
    template: str = ""
    content_sid: str = ""
    template_language: str = ""
    variables: tuple[str, ...] = ()
    # address of a picture
    media: str = ""


class RenderError(Exception):
    """A template could not be rendered for this member: names template, line and field, never a value."""


class Templates(Protocol):
    """Compiled templates of one content revision."""

    def render(self, journey: str, message: str, channel: str, locale: str, context: Mapping[str, object]) -> Rendered:
        """The words of `message` in the best of the locales it has: exact, then language, then the house default.

        Raises RenderError on an undefined field, a missing template, or a bound (steps, output) exceeded.
        """

    def is_approved(self, journey: str, message: str, channel: str, locale: str) -> bool:
        """Whether the text that `render` takes names one that the channel's provider approved; False without a text."""

    def has(self, journey: str, message: str, channel: str) -> bool:
        """Whether this message exists for this channel in any locale."""
