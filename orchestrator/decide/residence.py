"""Under which law and which clock a member lives, and on what grounds that is believed."""

from __future__ import annotations

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import timezone

from orchestrator.decide.content import Content
from orchestrator.decide.member import ContactPoint, Member, Residence

PHONE_CHANNELS = frozenset({"sms", "whatsapp", "phone"})
UNKNOWN_ZONE = "Etc/Unknown"


def normalised(channel: str, address: str, country: str) -> tuple[str, str] | None:
    """(address as kept, country of its prefix or ""): E.164 for phone channels, the normalised form for e-mail.

    None when it can never be reached so: not a valid number or address. A national number is read with `country`.
    """
    if channel in PHONE_CHANNELS:
        try:
            number = phonenumbers.parse(address, country or None)
        except phonenumbers.NumberParseException:
            return None
        if not phonenumbers.is_valid_number(number):
            return None
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        return e164, phonenumbers.region_code_for_number(number) or ""
    if channel == "email":
        try:
            checked = validate_email(address, check_deliverability=False, test_environment=True)
        except EmailNotValidError:
            return None
        return checked.normalized, ""
    return address.strip(), ""


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
        found = timezone.time_zones_for_number(phonenumbers.parse(point.address))
        known = tuple(name for name in found if name != UNKNOWN_ZONE and name in content.zones)
        if known:
            return known, "phone_prefix"
    if of_country:
        return of_country, "country"
    return (), "nothing"
