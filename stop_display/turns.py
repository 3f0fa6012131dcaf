"""Many who are to be visited once in a period, spread over it so that no moment has all of them. Pure."""

from collections.abc import Iterator
from typing import Generic, TypeVar

Who = TypeVar("Who")


class Turns(Generic[Who]):
    """A round of ``count`` turns. Who joins keeps its turn, so it is visited once a round, whoever comes and goes."""

    def __init__(self, count: int) -> None:
        self._turns: tuple[dict[Who, None], ...] = tuple({} for _ in range(count))

    def join(self, who: Who) -> None:
        """Give ``who`` the turn that has the fewest."""
        min(self._turns, key=len)[who] = None

    def leave(self, who: Who) -> None:
        """Take ``who`` out of its turn."""
        for turn in self._turns:
            turn.pop(who, None)

    def round(self) -> Iterator[list[Who]]:
        """Yield who is visited in each turn, as they are when it comes."""
        for turn in self._turns:
            yield list(turn)
