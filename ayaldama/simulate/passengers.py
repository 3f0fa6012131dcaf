"""Who boards and what they hold to the reader: media of several kinds, concessions, empty wallets, small mishaps. Pure.

The media exist in no pocket: their ids are made with the published key of the emulated drawer, so no real one can be
among them. Shares are plausible for a city of Kazakhstan, not measured.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fare.media._base import Presented, Proof
from fare.media.tokens import medium_id
from fare.model import MediumId, MediumKind, RiderCategory, Riders
from fare.validator.drawer import KEY

HOLDERS: Final = 8_000
KIND_SHARES: Final = (
    (MediumKind.TRANSPORT_CARD, 0.62),
    (MediumKind.BANK_CARD, 0.20),
    (MediumKind.PHONE, 0.18),
)
CATEGORY_SHARES: Final = (("pupil", 0.16), ("student", 0.08), ("pensioner", 0.12), ("veteran", 0.02))  # of wallets
EMPTY_WALLETS: Final = 0.03  # their next ride becomes a debt
BLOCKED: Final = 0.005
WALLET_TENGE: Final = (500.0, 8_000.0)
TRANSFERS: Final = 0.25  # who boards has ridden lately
LATELY: Final = 400  # riders among whom they are
COMPANIONS: Final = 0.03
TORN: Final = 0.01
AGAIN: Final = 0.02  # holds the medium to the reader a second time
FOREIGN: Final = 0.004
ONE_MORE: Final = (Riders(category=RiderCategory("adult"), count=1),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A passenger's medium. ``category`` "": an adult's; ``money_tiyn``: what was paid in before the demo."""

    name: str
    kind: MediumKind
    category: str
    money_tiyn: int
    blocked: bool

    @property
    def medium_id(self) -> MediumId:
        """Return the id of its taps."""
        return medium_id(self.kind, self.name, KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """One medium held to a reader; ``companions`` were chosen on the screen before."""

    kind: MediumKind
    medium_id: MediumId
    proof: Proof
    companions: tuple[Riders, ...] = ()

    def presented(self, read_ms: int, counter: int) -> Presented:
        """Return what the reader says. ``counter``: that of a chip, which only rises."""
        counts = self.kind is MediumKind.BANK_CARD and self.proof is Proof.VERIFIED
        return Presented(
            kind=self.kind,
            medium_id=self.medium_id if self.proof is Proof.VERIFIED else MediumId(""),
            counter=counter if counts else -1,
            read_ms=read_ms,
            proof=self.proof,
        )


def holders(seed: int, count: int = HOLDERS) -> list[Holder]:
    """Return the passengers of a demo: the same for the same seed."""
    rng = np.random.default_rng((seed, 2))
    kinds = rng.choice(len(KIND_SHARES), count, p=[share for _, share in KIND_SHARES])
    shares = [share for _, share in CATEGORY_SHARES]
    categories = rng.choice(len(shares) + 1, count, p=[*shares, 1 - sum(shares)])
    tenge = rng.uniform(*WALLET_TENGE, count)
    empty, blocked = rng.random(count) < EMPTY_WALLETS, rng.random(count) < BLOCKED
    found = []
    for number in range(count):
        kind = KIND_SHARES[kinds[number]][0]
        wallet = kind is not MediumKind.BANK_CARD
        category = categories[number]
        found.append(
            Holder(
                name=f"demo-{seed}-{number}",
                kind=kind,
                category=CATEGORY_SHARES[category][0] if wallet and category < len(shares) else "",
                money_tiyn=100 * int(tenge[number]) if wallet and not empty[number] else 0,
                blocked=bool(blocked[number]),
            )
        )
    return found


class Crowd:
    """The passengers of a city at its stops: ``board`` says who holds what to the reader of a bus."""

    def __init__(self, everybody: Sequence[Holder], rng: np.random.Generator) -> None:
        self._media = [(holder.kind, holder.medium_id) for holder in everybody]
        self._rng = rng
        self._lately: deque[int] = deque(maxlen=LATELY)

    def board(self, passengers: float) -> list[Showing]:
        """Return what ``passengers`` (on average) who board at a stop hold to the reader, one after another."""
        rng = self._rng
        return [showing for _ in range(int(rng.poisson(passengers))) for showing in self._hold(rng.random(5))]

    def _hold(self, chance: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> list[Showing]:
        number = self._who(float(chance[0]))
        kind, name = self._media[number]
        held = Showing(kind=kind, medium_id=name, proof=Proof.VERIFIED)
        if chance[1] < FOREIGN:
            return [Showing(kind=MediumKind.TRANSPORT_CARD, medium_id=name, proof=Proof.FAILED)]
        if chance[2] < COMPANIONS:
            held = Showing(kind=kind, medium_id=name, proof=Proof.VERIFIED, companions=ONE_MORE)
        before = [Showing(kind=kind, medium_id=name, proof=Proof.TORN)] if chance[3] < TORN else []
        after = [Showing(kind=kind, medium_id=name, proof=Proof.VERIFIED)] if chance[4] < AGAIN else []
        self._lately.append(number)
        return [*before, held, *after]

    def _who(self, chance: float) -> int:
        if chance < TRANSFERS and self._lately:
            return self._lately[int(self._rng.integers(len(self._lately)))]
        return int(self._rng.integers(len(self._media)))
