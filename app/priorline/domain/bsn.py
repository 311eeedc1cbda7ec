"""The Dutch citizen service number (burgerservicenummer, BSN): what its form tells, and nothing more.

A number that passes the eleven-test is well formed; whose it is, the test does not say. Never identity evidence.
"""

from priorline.domain.patient import Identifier

BSN_ISSUER = "NLMINBIZA"
"""The assigning authority as HL7 v2 writes it; the same one as an OID is 2.16.840.1.113883.2.4.6.3."""
BSN_ISSUERS = frozenset({BSN_ISSUER, "2.16.840.1.113883.2.4.6.3"})
WEIGHTS = (9, 8, 7, 6, 5, 4, 3, 2, -1)


def is_bsn(value: str) -> bool:
    """Whether text has the form of a BSN: 8 or 9 digits that pass the eleven-test, not all of them zero."""
    if len(value) not in (8, 9) or not (value.isascii() and value.isdecimal()) or not value.strip("0"):
        return False
    return sum(weight * int(digit) for weight, digit in zip(WEIGHTS, value.zfill(9), strict=True)) % 11 == 0


def is_bsn_domain(identifier: Identifier) -> bool:
    """Whether the issuer says that this number is a BSN, well formed or not."""
    return identifier.issuer.upper() in BSN_ISSUERS


def is_well_formed_bsn(identifier: Identifier) -> bool:
    """Whether the issuer says that this is a BSN, and its form does not contradict."""
    return is_bsn_domain(identifier) and is_bsn(identifier.value)


def usual_form(identifier: Identifier) -> Identifier:
    """A well-formed BSN with 9 digits under its usual issuer; any other identifier as it is."""
    if not is_well_formed_bsn(identifier):
        return identifier
    return Identifier(identifier.value.zfill(9), BSN_ISSUER)
