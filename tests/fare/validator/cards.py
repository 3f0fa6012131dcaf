"""Media, rules and prices that the tests of the validator share."""

import hashlib

from fare.media._base import Presented, Proof
from fare.model import MediumId, MediumKind, RiderCategory
from fare.validator.decide import Holdings, Place
from fare.validator.deny_list import TokenList, build_list
from fare.validator.rules import Configuration, FarePeriod, FareTable, KindRules, Price

NOON_MS = 1_789_970_400_000
MINUTE_MS = 60_000
PUPIL = RiderCategory("pupil")
ADULT = RiderCategory("adult")
BUS = Place(vehicle_id="bus-7", route_id="12")
FARES = FareTable(
    periods=(
        FarePeriod(
            version="2026-1",
            from_ms=NOON_MS - 30 * 86_400_000,
            until_ms=NOON_MS + 3_650 * 86_400_000,
            prices=(
                Price(kind=MediumKind.TRANSPORT_CARD, category=ADULT, tiyn=10_000),
                Price(kind=MediumKind.TRANSPORT_CARD, category=PUPIL, tiyn=5_000),
                Price(kind=MediumKind.BANK_CARD, category=ADULT, tiyn=12_000),
                Price(kind=MediumKind.BANK_CARD, category=ADULT, tiyn=24_000, route_id="express"),
            ),
        ),
    )
)
CONFIGURATION = Configuration(
    kinds=(KindRules(kind=MediumKind.TRANSPORT_CARD, first_rides_max=10), KindRules(kind=MediumKind.BANK_CARD)),
    concessions=(PUPIL,),
)


def medium(name: str) -> MediumId:
    return MediumId(hashlib.sha256(name.encode()).hexdigest()[:32])


def holdings(
    *, denied: TokenList | None = None, pupils: tuple[str, ...] = (), seen: tuple[str, ...] = (),
    configuration: Configuration = CONFIGURATION, denied_ms: int = NOON_MS, fares: FareTable = FARES,
) -> Holdings:  # fmt: skip
    return Holdings(
        configuration=configuration,
        fares=fares,
        denied=denied or build_list([]),
        denied_version=1,
        denied_ms=denied_ms,
        seen=build_list(medium(name) for name in seen),
        concessions={PUPIL: build_list(medium(name) for name in pupils)},
    )


def shown(
    name: str, *, kind: MediumKind = MediumKind.TRANSPORT_CARD, counter: int = -1, at_ms: int = NOON_MS,
    proof: Proof = Proof.VERIFIED, expires_ms: int = 0,
) -> Presented:  # fmt: skip
    named = proof in {Proof.VERIFIED, Proof.UNVERIFIED}
    return Presented(
        kind=kind,
        medium_id=medium(name) if named else MediumId(""),
        counter=counter,
        read_ms=at_ms,
        proof=proof,
        expires_ms=expires_ms,
    )
