"""Find stops by what people type: names in any language, codes, ids; a Russian keyboard finds Kazakh names. Pure."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from commons.texts import LANGUAGES
from gtfs_data.network import Network
from stop_display.model import FoundStop, Text
from stop_display.plan import Plan, PlannedLine

QUERY_MAX: Final = 60
# Kazakh letters as people write them with a Russian keyboard, and е for ё.
PLAIN: Final = str.maketrans("әғқңөұүһіё", "агкноуухие")
WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class _Entry:
    stop: int
    words: frozenset[str]
    starts: tuple[str, ...]  # folded names, for names that begin with the query
    code: str
    busyness: int


class StopSearch:
    """The stops of a network that buses leave from, ready to be searched."""

    def __init__(self, network: Network, plan: Plan) -> None:
        self._network = network
        self._plan = plan
        self._entries = [
            self._entry(stop, len(rows)) for stop, rows in enumerate(network.rows_of_stop) if len(rows) > 0
        ]

    def find(self, query: str, limit: int) -> list[FoundStop]:
        """Return the ``limit`` best stops where every word of ``query`` begins a word; the busiest, if it is empty."""
        query = query[:QUERY_MAX].strip()
        folded = fold(query)
        wanted = WORD.findall(folded)
        if folded and not wanted:
            return []
        hits = [
            (self._rank(entry, folded, query), -entry.busyness, entry.stop)
            for entry in self._entries
            if entry.code == folded or all(any(word.startswith(part) for word in entry.words) for part in wanted)
        ]
        return [self.found(stop) for _, _, stop in sorted(hits)[:limit]]

    def _rank(self, entry: _Entry, folded: str, query: str) -> int:
        if query == self._network.stops.ids[entry.stop] or (folded and folded == entry.code):
            return 0
        return 1 if any(name.startswith(folded) for name in entry.starts) else 2

    def _entry(self, stop: int, busyness: int) -> _Entry:
        names = tuple(fold(name) for name in name_of(self._network, stop).values())
        stop_id, code = fold(self._network.stops.ids[stop]), fold(self._network.stops.codes[stop])
        words = {word for text in (*names, stop_id, code) for word in WORD.findall(text)}
        return _Entry(stop, frozenset(words), names, code, busyness)

    def found(self, stop: int) -> FoundStop:
        """Return what is told of the stop number ``stop``."""
        stops, routes = self._network.stops, self._network.routes
        lines = self._plan.lines(stop)
        names = {routes.short_names[line.route] for line in lines.values()}
        return FoundStop(
            stop=stops.ids[stop],
            code=stops.codes[stop],
            name=name_of(self._network, stop),
            towards=_towards(list(lines.values())),
            routes=sorted(names, key=lambda name: (len(name), name)),
            lat=float(stops.lat[stop]),
            lon=float(stops.lon[stop]),
        )


def fold(text: str) -> str:
    """Return ``text`` in lower case without accents, Kazakh letters as their Russian look-alikes."""
    plain = unicodedata.normalize("NFC", text).strip().lower().translate(PLAIN)
    decomposed = unicodedata.normalize("NFD", plain.replace("й", "\0"))
    bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    return bare.replace("\0", "й")


def name_of(network: Network, stop: int) -> Text:
    """Return the name of a stop in every language."""
    stops = network.stops
    return {language: stops.names_by_language.get(language, stops.names)[stop] for language in LANGUAGES}


def _towards(lines: Sequence[PlannedLine]) -> Text:
    """Return the two destinations that most patterns have from here."""
    busiest = sorted(lines, key=lambda line: (-len(line.rows), line.key))
    firsts = list({line.destination["kk"]: line for line in busiest}.values())[:2]
    return {language: ", ".join(line.destination[language] for line in firsts) for language in LANGUAGES}
