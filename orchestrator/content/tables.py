"""Tables from libraries: time zones, from the `tzdata` wheel whatever the system has; their countries; mail domains."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata, resources
from zoneinfo import ZoneInfo

# the wheel's tables, not the machine's: the same version decides everywhere
zoneinfo.reset_tzpath(to=())


class Zones(Mapping[str, ZoneInfo]):
    """IANA zones by name, loaded when first asked for; unknown names are absent."""

    def __init__(self) -> None:
        """Reads the list of names."""
        self._names = frozenset(zoneinfo.available_timezones())
        self._loaded: dict[str, ZoneInfo] = {}

    def __getitem__(self, name: str) -> ZoneInfo:
        """The zone of this name; KeyError for an unknown one."""
        zone = self._loaded.get(name)
        if zone is None:
            if name not in self._names:
                raise KeyError(name)
            zone = self._loaded[name] = ZoneInfo(name)
        return zone

    def __contains__(self, name: object) -> bool:
        """Whether there is such a zone."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """All names, in order."""
        return iter(sorted(self._names))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._names)


@cache
def zones() -> Zones:
    """The process's zones."""
    return Zones()


@cache
def country_zones() -> Mapping[str, tuple[str, ...]]:
    """alpha-2 country -> its zones, from tzdata's `zone.tab` (the table made for this question)."""
    table: dict[str, list[str]] = {}
    text = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            country, _, name = line.split("\t")[:3]
            table.setdefault(country, []).append(name)
    return {country: tuple(sorted(names)) for country, names in table.items()}


@cache
def disposable() -> frozenset[str]:
    """Mail domains of throw-away addresses, in small letters; the list is kept by its own project, under MIT."""
    from disposable_email_domains import blocklist

    return frozenset(blocklist)


def versions() -> dict[str, str]:
    """Versions of the tables that decisions rest on: part of every content revision."""
    names = ("tzdata", "phonenumbers", "holidays", "email-validator", "disposable-email-domains")
    return {name: metadata.version(name) for name in names}
