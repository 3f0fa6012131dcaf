"""Names shortened for narrow panels, and written out for voices. Pure, but for reading the tables.

A table says for each language how words within names are shortened and, for whole names, the forms to choose from.
What no table knows is shortened as people do: words lose their ends after a consonant and get a full stop, the longest
first; then words at the end are left out. No word is cut without that sign.
"""

import functools
import itertools
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from commons.texts import Language

OWN_TABLE: Final = Path(__file__).with_name("abbreviations.toml")
SIGN: Final = "."
STEM_MIN: Final = 3  # letters that a shortened word keeps
CUT_COSTS: Final = 3  # a whole word is worth so many letters more than one with an end cut off
LOOSE_MAX: Final = 3  # letters of a preposition, or of "ул."
VOWELS: Final = frozenset("аәеёиіоөуұүыэюяьъйaeiouy")
BRACKETS: Final = re.compile(r"\s*\([^)]*\)")
QUOTES: Final = str.maketrans("", "", '«»“”„"')
FITTED_HELD: Final = 16_384
Measure = Callable[[str], float]  # how wide a text is: in characters, in pixels
SPACES: Final = re.compile(r"\s+")


class TableError(ValueError):
    """A table of abbreviations that cannot be used: which file, where, why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One language of a table."""

    kinds: list[str] = []  # words before a name that only say what kind of place it is
    words: dict[str, str] = {}  # within a name, in any case → shorter
    spoken: dict[str, str] = {}  # abbreviations of the feed → as they are read out
    names: dict[str, list[str]] = {}  # a whole name → its forms, longest first


class Abbreviations:
    """Short forms by language. Later tables stand before earlier ones."""

    def __init__(self, tables: Iterable[Mapping[Language, _Table]]) -> None:
        self._words: dict[str, dict[str, str]] = {}
        self._names: dict[str, dict[str, list[str]]] = {}
        self._kinds: dict[str, list[str]] = {}
        self._spoken: dict[str, dict[str, str]] = {}
        self._in_letters = functools.lru_cache(FITTED_HELD)(self._fit)  # panels ask for the same few all day
        for table in tables:
            for language, part in table.items():
                self._words.setdefault(language, {}).update((key.lower(), short) for key, short in part.words.items())
                self._names.setdefault(language, {}).update(part.names)
                self._spoken.setdefault(language, {}).update((key.lower(), full) for key, full in part.spoken.items())
                self._kinds.setdefault(language, []).extend(kind.lower() for kind in part.kinds)

    def forms(self, name: str, language: Language) -> list[str]:
        """Return the forms of a name that tables and brackets give, longest first, the name itself among them."""
        found = [name, *self._names.get(language, {}).get(name, ())]
        plain = SPACES.sub(" ", BRACKETS.sub("", name).translate(QUOTES)).strip() or name
        found += [plain, *self._by_words(plain, language)]
        return sorted(dict.fromkeys(found), key=len, reverse=True)

    def fit(self, name: str, language: Language, width: float, measure: Measure = len) -> str:
        """Return the longest form of ``name`` that is at most ``width`` wide."""
        return self._in_letters(name, language, width) if measure is len else self._fit(name, language, width, measure)

    def _fit(self, name: str, language: Language, width: float, measure: Measure = len) -> str:
        name = unicodedata.normalize("NFC", SPACES.sub(" ", name).strip())
        forms = self.forms(name, language)
        fitting = next((form for form in forms if measure(form) <= width), None)
        if fitting is not None:
            return fitting
        return _cut(forms, width, measure, frozenset(self._kinds.get(language, ())))

    def spoken(self, name: str, language: Language) -> str:
        """Return ``name`` with abbreviations written out, for a voice."""
        for short, full in self._spoken.get(language, {}).items():
            name = _whole(short).sub(full, name)
        return SPACES.sub(" ", name).strip()

    def _by_words(self, name: str, language: Language) -> Iterable[str]:
        """Give the name with one more of its words shortened each time, what saves most first."""
        words = self._words.get(language, {})
        known = [one for one in words if _whole(one).search(name)]
        for one in sorted(known, key=lambda one: (len(words[one]) - len(one), one)):
            shorter = _whole(one).sub(lambda found, short=words[one]: _cased(short, found[0]), name)  # type: ignore[misc]
            if len(shorter) < len(name):
                name = shorter
                yield name


def load_abbreviations(path: Path | None = None) -> Abbreviations:
    """Return our table, and that of an operator before it if ``path`` is given.

    Raises:
        TableError: if a table is not there or not one.
    """
    return Abbreviations([_read(one) for one in (OWN_TABLE, path) if one is not None])


def _read(path: Path) -> Mapping[Language, _Table]:
    try:
        tables: dict[Language, _Table] = msgspec.convert(
            tomllib.loads(path.read_text(encoding="utf-8")), dict[Language, _Table]
        )
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(path, f"cannot be read: {error}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise TableError(path, str(error)) from error
    return tables


@functools.cache  # as many as tables have words, which is more than ``re`` itself keeps
def _whole(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(words)}(?!\w)", re.IGNORECASE)


def _cased(short: str, long: str) -> str:
    return short[:1].upper() + short[1:] if long[:1].isupper() else short


def _cut(names: Sequence[str], width: float, measure: Measure, kinds: frozenset[str]) -> str:
    """Return a part of one of ``names`` with words shortened by rule: what fills ``width`` best, cut least.

    A part that is made of ``kinds`` alone ("street") is none; one that begins with them may leave them out.
    """
    found = []
    for words in (name.split(" ") for name in names):
        named = next((place for place, word in enumerate(words) if word.lower() not in kinds), 0)
        for first, last in itertools.product({0, named}, range(named + 1, len(words) + 1)):
            kept = _without_loose_end(words[first:last], kinds, whole=last == len(words))
            fitted = " ".join(_shortened(kept, width, measure))
            if measure(fitted) <= width:
                found.append(fitted)
    if found:
        return max(found, key=lambda one: (len(one) - CUT_COSTS * one.count(SIGN), one))
    return _beginning(names[0], width, measure)


def _beginning(name: str, width: float, measure: Measure) -> str:
    """Return as much of a name as fits with the sign, "" if nothing does."""

    def ended(length: int) -> str:
        return name[:length].rstrip(SIGN + " ") + SIGN

    low, high = 0, len(name)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if measure(ended(middle)) <= width else (low, middle - 1)
    return ended(low) if measure(ended(low)) <= width else ""


def _least(words: Sequence[str]) -> str:
    """Return the words shorter than any rule makes them."""
    return " ".join(word if len(word) <= STEM_MIN + len(SIGN) else word[:STEM_MIN] + SIGN for word in words)


def _without_loose_end(words: Sequence[str], kinds: frozenset[str], *, whole: bool) -> list[str]:
    """Return the words without a preposition or a bare "street" at the end, if more followed there."""

    def is_loose(word: str) -> bool:
        return word.lower() in kinds or (word[0].islower() and len(word) <= LOOSE_MAX)

    kept = list(words)
    while not whole and len(kept) > 1 and is_loose(kept[-1]):
        kept.pop()
    return kept


def _shortened(words: list[str], width: float, measure: Measure) -> list[str]:
    if measure(_least(words)) > width:
        return words  # a name of a hundred words would be shortened step by step in vain
    while measure(" ".join(words)) > width:
        longest = max(range(len(words)), key=lambda place: (len(words[place]), place))
        stem = _stem(words[longest])
        if stem == words[longest]:
            break
        words[longest] = stem
    return words


def _stem(word: str) -> str:
    """Return a word one step shorter: cut after a consonant, with the sign; the word itself if it is short already."""
    letters = word.removesuffix(SIGN)
    for end in range(len(letters) - 2 if letters == word else len(letters) - 1, STEM_MIN - 1, -1):
        if letters[end - 1].isalpha() and letters[end - 1].lower() not in VOWELS and letters[end].isalpha():
            return letters[:end] + SIGN
    return word
