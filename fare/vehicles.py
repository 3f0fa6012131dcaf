"""What is written on a bus, and how a rider types it. Pure.

A rider copies a fleet number or a plate with whatever keyboard is at hand: Cyrillic letters that look Latin, full-width
digits, blanks and hyphens, marks of direction that nobody sees. Both what is registered and what is typed are brought
into one form, and forms are compared.
"""

from typing import Final

import msgspec

from fare.typed import look_alike, plain

CODE_MAX: Final = 16  # characters of a code; a plate has 8

_SEPARATORS: Final = str.maketrans(dict.fromkeys(" ._/#-‐‑‒–—−", ""))


class Vehicle(msgspec.Struct, frozen=True, kw_only=True):
    """A vehicle by which riders know it. ``plate`` "" where none is known."""

    vehicle_id: str
    fleet_number: str
    plate: str = ""

    @property
    def codes(self) -> tuple[str, ...]:
        """Return the forms of all that is written on it."""
        return tuple(dict.fromkeys(filter(None, (vehicle_code(self.fleet_number), vehicle_code(self.plate)))))


def vehicle_code(typed: str) -> str:
    """Return the form in which numbers and plates are compared, "" if ``typed`` can be none.

    ``451``, ``４５１`` and ``№ 451`` are one number; ``123 ABC 11`` and ``123-авс-11`` one plate.
    """
    kept = look_alike(plain(typed)).translate(_SEPARATORS)
    is_code = kept.isascii() and kept.isalnum() and any(character.isdigit() for character in kept)
    return kept if is_code and len(kept) <= CODE_MAX else ""
