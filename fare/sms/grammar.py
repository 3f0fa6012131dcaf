"""What a rider asks for by SMS. Pure.

::

    message = ride | stop | top-up | balance | language | silence | anything else: help
    ride    = code [riders]          0451      123 ABC 11      0451 3
    stop    = [word] number          a number that no bus has, or АЯЛДАМА 12, ОСТ 12, STOP 12
    top-up  = КАРТА tenge            КАРТА 500
    balance = БАЛАНС | ҚАЛДЫҚ | BALANCE
    language = ҚАЗ | КАЗ | РУС | ENG
    silence = СТОП | ТОҚТА | STOP

Words are the same in capitals and small letters, Latin and Cyrillic where they look alike (КАРТА, KAPTA, ҚАРТА), and on
the wrong keyboard layout (RFHNF, ЛФЗЕФ). What only resembles a command that costs money is none: ``КАРТА -500``,
``КАРТА 1e9``, ``КАРТА 500 500`` move nothing.
"""

import enum
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from commons.texts import Language
from fare.sms.values import TEXT_MAX
from fare.typed import look_alike, plain
from fare.vehicles import vehicle_code

TENGE_MAX: Final = 10_000_000  # more is a slip of the finger, whatever the operator allows
TIYN: Final = 100

_LATIN_KEYS: Final = "QWERTYUIOP[]ASDFGHJKL;'ZXCVBNM,.{}:\"<>"
_CYRILLIC_KEYS: Final = "ЙЦУКЕНГШЩЗХЪФЫВАПРОЛДЖЭЯЧСМИТЬБЮХЪЖЭБЮ"
_TO_CYRILLIC: Final = str.maketrans(_LATIN_KEYS, _CYRILLIC_KEYS)
_TO_LATIN: Final = str.maketrans(_CYRILLIC_KEYS, _LATIN_KEYS)

_PLATE: Final = re.compile(
    r"\d{3}[A-Z]{2,3}\d{2}|[A-Z]\d{3}[A-Z]{2,3}(?:\d{2})?"
)  # of Kazakhstan, since 2012 and before
_RIDERS: Final = re.compile(r"[X*×]?([0-9]{1,2})")
_WORD_AND_NUMBER: Final = re.compile(r"([^\W\d_]+)\s*(.*)", re.DOTALL)
_TENGE: Final = re.compile(r"([0-9]{1,8})\s*(?:₸|ТГ|ТЕҢГЕ|ТЕНГЕ|KZT|TENGE|TG)?\.?")


class Ride(msgspec.Struct, frozen=True, kw_only=True):
    """Pay for a ride on a bus, or, where it is a bare number that no bus has, ask for the next buses at a stop."""

    code: str
    riders: int = 1


class BadRiders(msgspec.Struct, frozen=True, kw_only=True):
    """Pay for nobody, or for a crowd."""

    code: str


class NextAt(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the next buses at a stop."""

    code: str


class TopUp(msgspec.Struct, frozen=True, kw_only=True):
    """Bring money from the account at the mobile operator into the wallet."""

    amount_tiyn: int


class SetLanguage(msgspec.Struct, frozen=True, kw_only=True):
    """Answer in this language from now on."""

    language: Language


class Word(enum.StrEnum):
    """What a single word asks for."""

    TOP_UP = enum.auto()
    BALANCE = enum.auto()
    SILENCE = enum.auto()
    STOP = enum.auto()
    KAZAKH = enum.auto()
    RUSSIAN = enum.auto()
    ENGLISH = enum.auto()


class Plain(enum.StrEnum):
    """Commands without anything to say beside them."""

    BALANCE = enum.auto()
    SILENCE = enum.auto()
    BAD_AMOUNT = enum.auto()  # a top-up of something that is no amount
    HELP = enum.auto()  # nothing that we know


Command = Ride | BadRiders | NextAt | TopUp | SetLanguage | Plain

WORDS: Final[Mapping[Word, tuple[str, ...]]] = MappingProxyType(
    {
        Word.TOP_UP: ("КАРТА", "КАРТ", "KARTA", "CARD", "ШОТ", "TOPUP"),
        Word.BALANCE: ("БАЛАНС", "ҚАЛДЫҚ", "BALANCE", "BALANS"),
        Word.SILENCE: ("СТОП", "ТОҚТА", "ТОҚТАТ", "STOP"),
        Word.STOP: ("АЯЛДАМА", "АЯЛ", "ОСТАНОВКА", "ОСТ"),
        Word.KAZAKH: ("ҚАЗ", "КАЗ", "KAZ", "KZ"),
        Word.RUSSIAN: ("РУС", "RUS", "RU"),
        Word.ENGLISH: ("ENG", "EN", "АНГ"),
    }
)
_LANGUAGES: Final[Mapping[Word, Language]] = MappingProxyType(
    {Word.KAZAKH: "kk", Word.RUSSIAN: "ru", Word.ENGLISH: "en"}
)
_BY_FORM: Final[Mapping[str, Word]] = MappingProxyType(
    {look_alike(written): word for word, all_written in WORDS.items() for written in all_written}
)


def command_of(text: str, *, riders_max: int) -> Command:
    """Return what ``text`` asks for. Any text is something, at least a cry for help.

    ``riders_max``: so many may ride on one ticket.
    """
    typed = plain(text[:TEXT_MAX])
    for layout in (typed, typed.translate(_TO_CYRILLIC), typed.translate(_TO_LATIN)):
        found = _WORD_AND_NUMBER.fullmatch(layout)
        word = _BY_FORM.get(look_alike(found[1])) if found is not None else None
        command = _worded(word, found[2]) if found is not None and word is not None else None
        if command is not None:
            return command
    return _ride(typed, riders_max)


def _worded(word: Word, rest: str) -> Command | None:
    """Return the command that begins with ``word``; None if such a word does not go before ``rest``."""
    if word is Word.TOP_UP:
        return _top_up(rest)
    if rest and word in {Word.STOP, Word.SILENCE}:
        code = vehicle_code(rest)
        return NextAt(code=code) if code else None
    if rest or word is Word.STOP:
        return None
    match word:
        case Word.BALANCE:
            return Plain.BALANCE
        case Word.SILENCE:
            return Plain.SILENCE
        case _:
            return SetLanguage(language=_LANGUAGES[word])


def _top_up(rest: str) -> Command:
    found = _TENGE.fullmatch(rest)
    tenge = int(found[1]) if found is not None else 0
    return TopUp(amount_tiyn=tenge * TIYN) if 0 < tenge <= TENGE_MAX else Plain.BAD_AMOUNT


def _ride(typed: str, riders_max: int) -> Command:
    words = typed.split()
    if not words:
        return Plain.HELP
    whole = _code(words)
    if whole and (len(words) == 1 or _PLATE.fullmatch(whole)):
        return Ride(code=whole)
    riders = _RIDERS.fullmatch(look_alike(words[-1]))
    code = _code(words[:-1])
    if riders is None or not code or (len(words) > 2 and not _PLATE.fullmatch(code)):
        return Plain.HELP
    count = int(riders[1])
    return Ride(code=code, riders=count) if 0 < count <= riders_max else BadRiders(code=code)


def _code(words: list[str]) -> str:
    return vehicle_code("".join(words))
