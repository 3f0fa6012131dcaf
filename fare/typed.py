"""What people type, brought into one form: whatever keyboard, case or copy it came from. Pure.

Unicode has many characters that look alike, and some that are not seen at all. Compatibility forms are folded by NFKC
(full-width digits among them), digits of all scripts become ASCII, format characters (marks of direction, zero-width
joiners) and NUL vanish, other controls become blanks.
"""

import unicodedata
from typing import Final

# Cyrillic capitals that are taken for Latin ones; Kazakh ones among them. Source: Unicode TR39, "confusables".
_LOOKS_LATIN: Final = str.maketrans("АВЕЅІЈКҚМНҢОӨРСТУҮҰХҺӘ", "ABESIJKKMHHOOPCTYYYXHA")
_NUMBER_SIGN: Final = "№"  # which NFKC would make letters
_UNSEEN: Final = frozenset({"Cf", "Mn", "Me", "Cs", "Co", "Cn"})


def plain(typed: str) -> str:
    """Return ``typed`` in capitals, with ASCII digits, single blanks and nothing that is not seen."""
    shown: list[str] = []
    for character in unicodedata.normalize("NFKC", typed.replace(_NUMBER_SIGN, " ")).upper():
        category = unicodedata.category(character)
        if category == "Nd":
            shown.append(str(unicodedata.decimal(character)))
        elif category in {"Cc", "Zl", "Zp"}:
            shown.append("" if character == "\0" else " ")
        elif category not in _UNSEEN:
            shown.append(character)
    return " ".join("".join(shown).split())


def look_alike(text: str) -> str:
    """Return ``text``, which is ``plain``, with Latin letters for those that look so: КАРТА and KAPTA are one."""
    return text.translate(_LOOKS_LATIN)
