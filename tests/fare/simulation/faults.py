"""What goes wrong in a simulated city, how often, and by which dice."""

import dataclasses
import random
from dataclasses import dataclass


class FoundError(AssertionError):
    """An invariant does not hold."""


class CrashedError(Exception):
    """A handler of the server failed in a way that it does not know: nothing else can be said of this program."""


class KilledError(BaseException):
    """A process is gone; nothing of it goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Chances per occasion, 0 to 1, and switches. ``NONE`` is a city where all works."""

    requests_lost: float = 0.08
    answers_lost: float = 0.08
    requests_repeated: float = 0.15
    answers_old: float = 0.06  # somebody gives an earlier answer instead of the server's
    slow: float = 0.1  # more than a client waits
    server_crashes: float = 0.01  # at each effect of a transaction, before and after the commit
    database_lost: float = 0.01  # likewise: the connection ends, and nobody knows whether it was committed
    power_cuts: float = 0.6  # on each of some occasions per device
    disks_fail: float = 0.8
    outages: float = 0.7  # of the network of a device, for hours or weeks
    clocks_wrong: float = 0.5
    clocks_set_wrong: float = 0.5  # by somebody, while the device has no network to know better
    commands_killed: float = 0.08  # those of a person who decides about quarantined taps, at each effect
    enrolled_again: float = 0.4
    restored: float = 0.15  # the server's database, once, from a backup

    def without(self, name: str) -> "Faults":
        return dataclasses.replace(self, **{name: 0.0})

    def names(self) -> list[str]:
        return [one.name for one in dataclasses.fields(self) if getattr(self, one.name)]


ALL = Faults()
NONE = Faults(**{one.name: 0.0 for one in dataclasses.fields(Faults)})


@dataclass(slots=True)
class Dice:
    """Random numbers of one seed, a stream per purpose: leaving out one fault does not change all others."""

    seed: int
    faults: Faults
    calm: bool = False
    _streams: dict[str, random.Random] = dataclasses.field(default_factory=dict)

    def of(self, purpose: str) -> random.Random:
        stream = self._streams.get(purpose)
        if stream is None:
            stream = self._streams[purpose] = random.Random(f"{self.seed}/{purpose}")  # noqa: S311 - dice
        return stream

    def strikes(self, fault: str, of: str = "") -> bool:
        """Return whether a fault happens on this occasion; never any more once all is calm."""
        chance: float = getattr(self.faults, fault)
        return self.of(f"{fault}/{of}").random() < chance and not self.calm
