"""What is known of detours, and what happened on the way to knowing it: values only, kept in the checkpoint."""

from typing import Final

import msgspec

from transit.model import Detour

# What ``excursions`` notes, in this order when at the same moment; ``x`` and ``y`` of each: a place; where the line was
# left, in metres along it; where and when it was reached again; nothing; the number of the detour passed regularly.
PLACE, LEFT, BACK, LOST, PASSED = range(5)

UNKNOWN_M: Final = -1.0


class Stretch(msgspec.Struct, frozen=True, array_like=True):
    """From where a line is left to where it is reached again, in metres along it."""

    left_m: float
    back_m: float = UNKNOWN_M

    @property
    def whole(self) -> bool:
        """Whether it is known where the line is reached again."""
        return self.back_m != UNKNOWN_M


class Excursion(msgspec.Struct, array_like=True):
    """A vehicle (row of the fleet) that left its line, and how it drove since."""

    pattern: int
    left_ms: int
    stretch: Stretch
    back_ms: int = 0
    path: list[tuple[float, float]] = []  # in the network's projection
    reach_m: float = 0.0  # from the last place on the line to the first beside it: somewhere between it left


class Known(msgspec.Struct, array_like=True):
    """Excursions that agree: a detour, once there are enough of them. Vehicles are rows of the fleet."""

    number: int
    first_ms: int
    last_ms: int
    own: dict[int, Stretch] = {}  # by pattern, as its vehicles drove
    stretches: dict[int, Stretch] = {}  # the same on all patterns of these lines
    under_way: dict[int, Excursion] = {}  # by vehicle
    vehicles: list[int] = []  # that left here, the latest last
    drivers: list[int] = []  # that drove it from end to end, each once, since one passed the regular way
    passes: int = 0  # the regular way, since one drove it
    extra_s: list[float] = []  # what the last ones took longer than the regular way
    served: list[int] = []  # stops (of the network) that were passed closely
    path: list[tuple[float, float]] = []  # the way last driven
    resting: bool = False  # nobody came by for long

    @property
    def whole(self) -> bool:
        """Whether it is known where it ends."""
        return any(stretch.whole for stretch in self.own.values())


class Book(msgspec.Struct, array_like=True):
    """All detours, possible ones included."""

    numbers: int = 0
    known: dict[int, Known] = {}
    astray: dict[int, Excursion] = {}  # by vehicle: the way since it was last on its line
    shown: dict[str, Detour] = {}  # as last published

    def save(self) -> bytes:
        """Return everything as bytes for ``load``."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def load(cls, data: bytes) -> "Book":
        """Return the book that ``save`` wrote.

        Raises:
            ValueError: if ``data`` is broken.
        """
        return msgspec.msgpack.decode(data, type=cls)
