"""What was said to whoever listens, so that the rest of a sound that is asked for later belongs to its beginning. Pure.

A board says something else every few seconds, and players ask for a sound in ranges of bytes, one after the other. A
listening that names itself gets the same sentences, hence the same bytes, for as long as it may last.
"""

import collections
import dataclasses
import math
from typing import Final

from stop_display.renderings._base import Options, Rendered

NAMED_BY: Final = "listen"
Key = tuple[str, tuple[tuple[str, int | str], ...]]


class Listenings:
    """The last ``most`` listenings, each for ``kept_s`` from when it began. Times: of any clock that does not step."""

    def __init__(self, *, most: int, kept_s: float) -> None:
        self._most = most
        self._kept_s = kept_s
        self._begun: collections.OrderedDict[Key, tuple[float, Rendered]] = collections.OrderedDict()

    def again(self, key: Key | None, now_s: float) -> Rendered | None:
        """Return what this listening was given when it began; how long that is good is less by now."""
        begun_s, rendered = self._begun.get(key, (-math.inf, None)) if key is not None else (-math.inf, None)
        since_s = now_s - begun_s
        if rendered is None or since_s >= self._kept_s:
            return None
        refresh_s, valid_s = (max(0, math.floor(one - since_s)) for one in (rendered.refresh_s, rendered.valid_s))
        return dataclasses.replace(rendered, refresh_s=refresh_s, valid_s=valid_s)

    def begin(self, key: Key | None, rendered: Rendered, now_s: float) -> None:
        """Keep what a listening is given, if it names itself."""
        if key is None:
            return
        self._begun.pop(key, None)
        self._begun[key] = now_s, rendered
        if len(self._begun) > self._most:
            self._begun.popitem(last=False)


def listening_of(stop_id: str, options: Options) -> Key | None:
    """Return by what a listening is known, None if it has no name."""
    return (stop_id, tuple(sorted(options.items()))) if options.get(NAMED_BY) else None
