"""A phone as a medium: its number in one form, whose it is, and the id of the medium that it is.

A message and the application of one number are one medium, so they share a wallet and a history. Source of numbers:
ITU-T E.164 by the metadata of libphonenumber; since numbers are ported, the operator that it names is advice, no proof.
Pure.
"""

import hmac
import unicodedata
from typing import Final

import phonenumbers
from phonenumbers import carrier

from fare.media.tokens import TokenKey
from fare.model import MediumId, PhoneNumber

REGION: Final = "KZ"
TYPED_MAX: Final = 40  # characters; E.164 has 15 digits

_ID_BYTES: Final = 16
_SPACE: Final = b"phone\0"
_MOBILE: Final = frozenset(
    {phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE},
)


def phone_number(typed: str, region: str = REGION) -> PhoneNumber | None:
    """Return the number in E.164, None if ``typed`` is no mobile number of ``region``.

    ``8 701 123-45-67``, ``77011234567`` and ``+7 (701) 123 45 67`` are one number. Names, short codes, foreign numbers
    and numbers that nobody can have are None: who could not be charged or answered is nobody.
    """
    if not typed or len(typed) > TYPED_MAX:
        return None
    plain = unicodedata.normalize("NFKC", typed)
    if any(character.isalpha() for character in plain):
        return None  # the library would read letters as the keys they are on
    try:
        parsed = phonenumbers.parse(plain, region)
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.region_code_for_number(parsed) != region or not phonenumbers.is_valid_number(parsed):
        return None
    if phonenumbers.number_type(parsed) not in _MOBILE:
        return None
    return PhoneNumber(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def likely_operator(number: PhoneNumber) -> str:
    """Return the operator that the number's range was given to, "" if that is not known."""
    return carrier.name_for_number(phonenumbers.parse(number), "en")


def phone_medium(number: PhoneNumber, key: TokenKey) -> MediumId:
    """Return the id of the medium that a number is: as ``tokens.medium_id``, in a space of its own.

    A number may have as many digits as a card's, so it is not looked at for one: it has been parsed as a number.
    """
    return MediumId(hmac.digest(key.secret, _SPACE + number.encode(), "sha256")[:_ID_BYTES].hex())
