"""Is the domain that e-mail comes from set up as receivers ask? SPF, DKIM, DMARC by DNS, and the one click by HTTP.

What Gmail, Yahoo and Outlook.com ask of who sends much: SPF and DKIM, a DMARC record of any policy, one-click opt-out.
Nothing here sends mail: whether a message that left is aligned only a message shows.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Iterable, Iterator
from typing import Literal
from urllib.parse import urlsplit

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from msgspec import Struct

from orchestrator.errors import SetupError
from orchestrator.settings import DomainSettings

# terms that ask the DNS, of one SPF record with all that it includes (RFC 7208, 4.6.4)
SPF_LOOKUPS = 10
# bits of an RSA key: fewer are no key to receivers; and what is asked for today (RFC 8301, 3.2)
LEAST_RSA, GOOD_RSA = 1024, 2048
# labels of a domain that DMARC is looked for at, from the domain upwards
_DMARC_STEPS = 5
_OURS = "x-robots-tag"
_SPF_CURE = 'publish one TXT record there: "v=spf1 include:… -all", with the include that the carrier names'
_DMARC_CURE = "publish a TXT record at _dmarc.{domain}: v=DMARC1; p=none; rua=mailto:… , and go on to p=quarantine"


class Check(Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    # warn: it works, but somebody should look
    state: Literal["ok", "warn", "fail"]
    found: str
    cure: str = ""


class Names:
    """Asks one name server."""

    def __init__(self, settings: DomainSettings) -> None:
        """Raises SetupError for a resolver that is no address, and where this machine has none."""
        try:
            self._resolver = dns.resolver.Resolver(configure=not settings.resolver)
        except dns.resolver.NoResolverConfiguration:
            raise SetupError("this machine knows no name server; name one in [domain] resolver") from None
        if settings.resolver:
            host, port = _address(settings.resolver)
            self._resolver.nameservers, self._resolver.port = [host], port
        self._resolver.lifetime = settings.timeout_s
        # a name with a dot at its end, so that no search list is tried
        self._resolver.search = []

    def texts(self, name: str) -> list[str]:
        """The TXT records of a name, the strings of each joined; none where there are none.

        Raises Unanswered where the server gave no answer.
        """
        try:
            answer = self._resolver.resolve(dns.name.from_text(name), dns.rdatatype.TXT)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, UnicodeError) as error:
            raise Unanswered(name, type(error).__name__) from None
        return [b"".join(row.strings).decode("utf-8", "replace") for row in answer]


class Unanswered(Exception):
    """The name server said neither that there is something nor that there is nothing."""

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why
        super().__init__(f"{name}: {why}")


def examine_domain(domain: str, settings: DomainSettings) -> Iterator[Check]:
    """SPF, DKIM and DMARC of a domain. Raises SetupError for settings of no use."""
    names = Names(settings)
    for name, look in (("SPF", _spf), ("DKIM", _dkim), ("DMARC", _dmarc)):
        try:
            yield from look(names, domain, settings)
        except Unanswered as error:
            yield Check(
                name=f"{name} {domain}",
                state="warn",
                found=f"the name server did not answer for {error.name} ({error.why})",
                cure="ask again, or name another one in [domain] resolver",
            )


def examine_click(public_url: str, timeout_s: float) -> Iterator[Check]:
    """Whether the address of opt-out links is https, short enough, and answered by `orchestrator serve` itself."""
    name = "one click"
    if not public_url:
        cure = "set public_url to where `orchestrator serve` is reached"
        yield Check(name=name, state="fail", found="public_url is empty: no mail has a way out", cure=cure)
        return
    parts = urlsplit(public_url)
    if parts.scheme != "https":
        cure = "let a proxy speak TLS: mail providers call https alone (RFC 8058)"
        yield Check(name=name, state="fail", found="public_url is not https", cure=cure)
    # <https://host/u/ and 36 letters and >
    if len(public_url) + 41 > 76:
        cure = "choose a shorter host name for public_url"
        found = f"the header with a link is {len(public_url) + 41} letters long, and carriers may fold it beyond 76"
        yield Check(name=name, state="warn", found=found, cure=cure)
    try:
        # nobody's token: it changes nothing
        answer = httpx.post(f"{public_url}/u/doctor", content=b"List-Unsubscribe=One-Click", timeout=timeout_s)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        cure = "start `orchestrator serve`, and let the proxy lead public_url to it"
        yield Check(
            name=name, state="fail", found=f"{parts.hostname} can't be called: {type(error).__name__}", cure=cure
        )
        return
    if answer.is_redirect:
        cure = "answer at public_url itself: mail providers follow no redirect (RFC 8058, 3.1)"
        yield Check(name=name, state="fail", found=f"{parts.hostname} redirects ({answer.status_code})", cure=cure)
    elif answer.status_code not in (404, 429) or _OURS not in answer.headers:
        cure = "lead /u/ of public_url to `orchestrator serve`, POST included"
        found = f"{parts.hostname}/u/ is answered by something else ({answer.status_code})"
        yield Check(name=name, state="fail", found=found, cure=cure)
    else:
        yield Check(name=name, state="ok", found=f"{parts.hostname}/u/ answers, and does not redirect")


# --- SPF


def _spf(names: Names, domain: str, _settings: DomainSettings) -> Iterator[Check]:
    records = _starting(names.texts(domain), "v=spf1")
    name = f"SPF {domain}"
    if len(records) != 1:
        found = "no record" if not records else f"{len(records)} records, which counts as an error (RFC 7208, 4.5)"
        yield Check(name=name, state="fail", found=found, cure=_SPF_CURE)
        return
    terms = [term.lower() for term in records[0].split()[1:]]
    if "+all" in terms or "all" in terms:
        cure = "end it with -all or ~all, or anybody may send as this domain"
        yield Check(name=name, state="fail", found="it lets everybody send (+all)", cure=cure)
        return
    lookups = _lookups(names, records[0], frozenset({domain}))
    if lookups > SPF_LOOKUPS:
        found = f"more than {SPF_LOOKUPS} questions to answer it, which counts as an error (RFC 7208, 4.6.4)"
        yield Check(name=name, state="fail", found=found, cure="leave out includes of carriers that are not used")
        return
    if not any(term.endswith("all") or term.startswith("redirect=") for term in terms):
        found = "it does not say what others are"
        yield Check(name=name, state="warn", found=found, cure="end it with -all or ~all")
        return
    yield Check(name=name, state="ok", found=f"{records[0][:120]} ({lookups} of {SPF_LOOKUPS} questions)")


def _lookups(names: Names, record: str, seen: frozenset[str]) -> int:
    """Terms that ask the DNS, with those of what is included; counting ends beyond the limit."""
    count = 0
    for term in record.lower().split()[1:]:
        bare = term.lstrip("+-~?")
        kind, _, target = bare.replace("=", ":", 1).partition(":")
        kind = kind.partition("/")[0]
        if kind not in ("include", "a", "mx", "ptr", "exists", "redirect"):
            continue
        count += 1
        if count > SPF_LOOKUPS:
            break
        # one with a macro in it is another for each mail
        if kind in ("include", "redirect") and target and "%" not in target and target not in seen:
            for inner in _starting(names.texts(target), "v=spf1")[:1]:
                count += _lookups(names, inner, seen | {target})
    return count


# --- DKIM


def _dkim(names: Names, domain: str, settings: DomainSettings) -> Iterator[Check]:
    published = 0
    for selector in settings.dkim_selectors:
        name = f"DKIM {selector}._domainkey.{domain}"
        records = names.texts(f"{selector}._domainkey.{domain}")
        if not records:
            continue
        published += 1
        state, found, cure = _key(records)
        yield Check(name=name, state=state, found=found, cure=cure)
    if not published:
        tried = ", ".join(settings.dkim_selectors) or "none"
        yield Check(
            name=f"DKIM {domain}",
            state="fail",
            found=f"no key under the selectors {tried}",
            cure="publish the records that the carrier shows, or name its selectors in [domain] dkim_selectors",
        )


def _key(records: list[str]) -> tuple[Literal["ok", "warn", "fail"], str, str]:
    """What one key's record comes to: state, what was found, what cures it."""
    again = "publish the record again as the carrier shows it"
    if len(records) > 1:
        return "fail", f"{len(records)} records, and receivers may take any", "leave one"
    tags = _tags(records[0])
    text = "".join(tags.get("p", "").split())
    if not text:
        return "fail", "the key is revoked (p is empty)" if "p" in tags else "it has no key (p)", again
    try:
        raw = base64.b64decode(text, validate=True)
        bits = 256 if tags.get("k") == "ed25519" and len(raw) == 32 else _rsa_bits(raw)
    except (binascii.Error, ValueError):
        return "fail", "the key can't be read", again
    if bits is None:
        return "fail", "the key is of no kind that receivers know", again
    kind = "Ed25519" if bits == 256 else f"RSA, {bits} bits"
    if bits != 256 and bits < LEAST_RSA:
        return "fail", kind, f"let the carrier make a key of {GOOD_RSA} bits"
    if "y" in tags.get("t", "").split(":"):
        return "warn", f"{kind}, marked as a test (t=y)", "leave t=y out once it works"
    if bits != 256 and bits < GOOD_RSA:
        return "warn", kind, f"let the carrier make a key of {GOOD_RSA} bits"
    return "ok", kind, ""


def _rsa_bits(raw: bytes) -> int | None:
    key = load_der_public_key(raw)
    return key.key_size if isinstance(key, RSAPublicKey) else None


# --- DMARC


def _dmarc(names: Names, domain: str, _settings: DomainSettings) -> Iterator[Check]:
    name, cure = f"DMARC {domain}", _DMARC_CURE.format(domain=domain)
    at, records = domain, list[str]()
    for at in _upwards(domain):
        records = _starting(names.texts(f"_dmarc.{at}"), "v=DMARC1")
        if records:
            break
    if len(records) != 1:
        found = "no record" if not records else f"{len(records)} records at {at}, which counts as none"
        yield Check(name=name, state="fail", found=found, cure=cure)
        return
    tags = _tags(records[0])
    policy = (tags.get("sp") if at != domain and "sp" in tags else tags.get("p", "")) or ""
    if policy.lower() not in ("none", "quarantine", "reject"):
        yield Check(name=name, state="fail", found=f"no policy at {at} (p)", cure=cure)
        return
    from_where = "" if at == domain else f", from {at}"
    if "rua" not in tags:
        found = f"p={policy}{from_where}, and nobody is told what fails (no rua)"
        yield Check(name=name, state="warn", found=found, cure="add rua=mailto:… for the reports")
        return
    yield Check(name=name, state="ok", found=f"p={policy}{from_where}")


def _upwards(domain: str) -> Iterable[str]:
    """The domain, then what it lies in, never a top-level domain: the record nearest to it counts."""
    labels = domain.rstrip(".").split(".")
    steps = [".".join(labels[i:]) for i in range(len(labels) - 1)]
    return steps[:1] + steps[1:][-_DMARC_STEPS:]


# --- records


def _starting(texts: Iterable[str], version: str) -> list[str]:
    """The records of this version: its word, then a space, a semicolon or nothing."""
    n = len(version)
    return [text for text in texts if text[:n].lower() == version.lower() and text[n : n + 1] in ("", " ", ";")]


def _tags(record: str) -> dict[str, str]:
    """`a=b; c=d` as a dict; a tag that is there twice counts as the first."""
    tags: dict[str, str] = {}
    for part in record.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            tags.setdefault(name.strip().lower(), value.strip())
    return tags


def _address(text: str) -> tuple[str, int]:
    """An address of a name server and its port: `9.9.9.9`, `127.0.0.1:5353`, `[::1]:5353`."""
    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        ipaddress.ip_address(host)
        number = int(port)
    except ValueError:
        number = 0
    if not 0 < number < 65_536:
        raise SetupError("[domain] resolver is no address; write one like 9.9.9.9 or 127.0.0.1:5353")
    return host, number
