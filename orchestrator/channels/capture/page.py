"""How a captured message looks: an e-mail with its headers, HTML and text; any other channel as a bubble on a phone.

Everything from a member or a template is escaped. The e-mail's HTML stands in a frame that is sandboxed to the last
right: no script, no form, no link that leads anywhere. Pages work from disk and in the dark.
"""

from __future__ import annotations

from datetime import datetime
from html import escape

from orchestrator.channels.contract import Message
from orchestrator.channels.segments import segments

STYLE = """
:root{color-scheme:light dark;--ink:#1d2430;--soft:#586174;--line:#d9dee7;--paper:#fff;--ground:#f3f5f9;
--accent:#1f5fbf;--bubble:#e3ecfb}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf1;--soft:#a5aec0;--line:#353d4c;--paper:#1b202a;--ground:#12161d;
--accent:#8db8ff;--bubble:#26385a}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem}
a{color:var(--accent)}
a:focus-visible,iframe:focus-visible,summary:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
h1{font-size:1.45rem;line-height:1.25;margin:.75rem 0 1rem;overflow-wrap:anywhere}
h2{font-size:1rem;margin:2rem 0 .5rem}
.card{background:var(--paper);border:1px solid var(--line);border-radius:12px;overflow:hidden}
.soft{color:var(--soft)}
"""

_MESSAGE_STYLE = """
dl{margin:0;padding:.9rem 1.1rem;display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.1rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
iframe{display:block;width:100%;height:min(60rem,85vh);min-height:26rem;border:0;background:#fff;resize:vertical}
pre{margin:0;padding:1rem 1.1rem;white-space:pre-wrap;overflow-wrap:anywhere;font:14px/1.5 ui-monospace,Menlo,monospace}
.phone{max-width:24rem;margin:1.5rem auto;border:10px solid #232936;border-radius:40px;background:var(--paper);
padding:0 0 2rem;min-height:26rem;display:flex;flex-direction:column}
.phone header{text-align:center;padding:1.1rem 1rem .8rem;border-bottom:1px solid var(--line);font-weight:600}
.phone header span{display:block;font-weight:400;font-size:.85rem}
.bubble{margin:1.2rem 1rem .4rem;padding:.7rem .95rem;background:var(--bubble);border-radius:18px 18px 18px 4px;
max-width:85%;width:fit-content;white-space:pre-wrap;overflow-wrap:anywhere}
.phone small{margin:0 1.3rem}
.weight{display:flex;flex-wrap:wrap;gap:.4rem 1.2rem;justify-content:center}
kbd{font:inherit;border:1px solid var(--line);border-radius:5px;padding:0 .35rem}
"""

# nothing may run; images of an e-mail may load, as they would in a mailbox
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data: https:; font-src data: https:"


def page(message: Message, at: datetime) -> str:
    """The page of one message; `at` is when it was sent, in UTC."""
    body = _mail(message, at) if message.channel == "email" else _phone(message, at)
    title = message.subject or f"{message.channel} · {message.journey}"
    return document(title, f'<p><a href="../index.html">All messages</a></p>{body}', _MESSAGE_STYLE)


def document(title: str, main: str, style: str = "") -> str:
    """A whole page around `main`, which is HTML; `title` is text."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head><body><main>{main}</main></body></html>\n"
    )


def _mail(message: Message, at: datetime) -> str:
    sender = f"{message.sender_name} <{message.sender}>" if message.sender_name else message.sender
    headers = {
        "From": sender,
        "To": message.to,
        "Reply-To": message.reply_to,
        "Date": f"{at:%Y-%m-%d %H:%M:%S} UTC",
        "Opt-out": message.unsubscribe if message.purpose == "marketing" else "",
        **_origin(message),
    }
    lang = escape(message.locale)
    html = (
        f'<h2 id="html">As mail programs show it</h2><div class="card"><iframe sandbox="" loading="lazy" '
        f'title="The message" srcdoc="{_quoted(message.html)}"></iframe></div>'
        if message.html
        else ""
    )
    text = f'<h2>Text part</h2><div class="card"><pre lang="{lang}" dir="auto">{escape(message.text)}</pre></div>'
    return f'<h1 lang="{lang}" dir="auto">{escape(message.subject)}</h1>{_list(headers)}{html}{text}'


def _quoted(html: str) -> str:
    """A document as the value of an attribute: these two are all that HTML asks for, and a page is long."""
    return html.replace("&", "&amp;").replace('"', "&quot;")


def _phone(message: Message, at: datetime) -> str:
    sender = message.sender_name or message.sender or message.channel
    bubble = (
        f'<section class="phone" aria-label="The message on a phone"><header>{escape(sender)}'
        f'<span class="soft">{escape(message.channel.upper())}</span></header>'
        f'<div class="bubble" lang="{escape(message.locale)}" dir="auto">{escape(message.text)}</div>'
        f'<small class="soft">{at:%Y-%m-%d %H:%M} UTC</small></section>'
    )
    weight = _weight(message.text) if message.channel == "sms" else ""
    return f"<h1>{escape(message.journey)}</h1>{bubble}{weight}{_list({'To': message.to, **_origin(message)})}"


def _weight(text: str) -> str:
    """Length and parts of an SMS, and what makes it long."""
    cut = segments(text)
    parts = "1 segment" if cut.count == 1 else f"{cut.count} segments"
    why = " ".join(f"<kbd>{escape(char)}</kbd>" for char in cut.outside[:12])
    forced = f"<span>Not in GSM-7: {why}</span>" if why else ""
    return (
        f'<p class="weight soft"><span>{cut.units} of {cut.room} {cut.alphabet} characters</span>'
        f"<span><strong>{parts}</strong></span>{forced}</p>"
    )


def _origin(message: Message) -> dict[str, str]:
    return {
        "Journey": message.journey,
        "Purpose": message.purpose,
        "Locale": message.locale,
        "Touch": message.touch_id,
    }


def _list(facts: dict[str, str]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items() if value)
    return f'<dl class="card">{rows}</dl>'
