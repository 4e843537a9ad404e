"""Under which law and which clock a member lives, and on what grounds that is believed."""

from __future__ import annotations

import phonenumbers
from phonenumbers import timezone

from orchestrator.decide.addresses import PHONE_CHANNELS
from orchestrator.decide.content import Content
from orchestrator.decide.member import ContactPoint, Member, Residence

UNKNOWN_ZONE = "Etc/Unknown"


def residence_of(member: Member, content: Content) -> Residence:
    """The residence that a member's profile and contact points speak for.

    Zone: the profile's, else the only zone of the country of residence, else what the phone prefix allows within that
    country, else every zone of the country: with several candidates an instant must be permitted in all of them.
    """
    phones = tuple(point for point in member.contact_points if point.channel in PHONE_CHANNELS)
    phone_countries = tuple(sorted({point.country for point in phones if point.country}))
    country = member.country or (phone_countries[0] if len(phone_countries) == 1 else "")
    jurisdictions = content.laws.jurisdictions_of(country, member.region, phone_countries)
    zones, ground = _zones(member.zone, country, phones, content)
    return Residence(jurisdictions=jurisdictions, zones=zones, zone_from=ground)  # type: ignore[arg-type]  # grounds below


def _zones(zone: str, country: str, phones: tuple[ContactPoint, ...], content: Content) -> tuple[tuple[str, ...], str]:
    if zone and zone in content.zones:
        return (zone,), "profile"
    of_country = content.country_zones.get(country, ())
    if len(of_country) == 1:
        return of_country, "address"
    for point in phones:
        if country and point.country != country:
            continue
        try:
            found = timezone.time_zones_for_number(phonenumbers.parse(point.address))
        except phonenumbers.NumberParseException:
            # no number: one that was told wrong, or WhatsApp's own id of somebody
            continue
        known = tuple(name for name in found if name != UNKNOWN_ZONE and name in content.zones)
        if known:
            return known, "phone_prefix"
    if of_country:
        return of_country, "country"
    return (), "nothing"
