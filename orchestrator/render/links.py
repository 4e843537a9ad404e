"""Link parameters: what tells the programme's own site which message somebody came from."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

# what may follow a link in a sentence and does not belong to it
_AFTER = ".,;:!?)]}"


def with_parameters(text: str, site: str, parameters: tuple[tuple[str, str], ...], *, html: bool) -> str:
    """The text with these parameters at each link that leads to the site; a parameter that a link has is left alone.

    `site` has no slash at its end; links elsewhere are not touched. In HTML the signs between are written `&amp;`.
    """
    if not parameters or site not in text:
        return text
    sign = "&amp;" if html else "&"

    def longer(match: re.Match[str]) -> str:
        link = match[0].rstrip(_AFTER)
        rest = match[0][len(link) :]
        address, hash_, place = link.partition("#")
        missing = [f"{name}={quote(value, safe='')}" for name, value in parameters if f"{name}=" not in address]
        if not missing:
            return match[0]
        return f"{address}{sign if '?' in address else '?'}{sign.join(missing)}{hash_}{place}{rest}"

    return _links_to(site).sub(longer, text)


@lru_cache(maxsize=64)
def _links_to(site: str) -> re.Pattern[str]:
    return re.compile(re.escape(site) + r"(?![\w.:@-])[^\s\"'<>]*")
