"""Answer an inspector from a vehicle's list, on the server or, in ``web/inspector/verdict.js``, on the phone. Pure.

The two say the same: one table of cases runs through both (tests/fare/inspection). Doubt is the passenger's: while the
validator's taps may not have reached us, or before the next stop, nobody is said not to have paid.
"""

from dataclasses import dataclass

from fare.inspection.check_code import check_code, code_hash, ticket_code
from fare.inspection.showing import listed_phone, shown
from fare.inspection.values import (
    InspectionRules,
    KnownTap,
    ListedTap,
    Question,
    Standing,
    VehicleFacts,
    VehicleList,
    Verdict,
)
from fare.outcomes import TapOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A verdict, and of PAID the tap that has been shown with it: once more than before."""

    verdict: Verdict
    tap: ListedTap | None = None


def vehicle_list(
    facts: VehicleFacts, code_key: bytes, salt: bytes, made_ms: int, rules: InspectionRules, *, city: str
) -> VehicleList:
    """Return what a phone may hold of ``facts``. ``salt``: 16 bytes that nobody can foresee, new for every list."""

    def listed(tap: KnownTap) -> ListedTap:
        return ListedTap(
            code_hash=code_hash(check_code(tap.medium_id, code_key), salt),
            ticket_hash=ticket_hash(tap, code_key, salt),
            here=tap.vehicle_id == facts.vehicle_id,
            tapped_ms=tap.tapped_ms,
            outcome=tap.outcome,
            riders=tap.riders,
            until_ms=tap.until_ms,
            shown=tap.shown,
        )

    return VehicleList(
        vehicle_id=facts.vehicle_id,
        route_id=facts.route_id,
        made_ms=made_ms,
        complete_until_ms=facts.complete_until_ms,
        left_stop_ms=facts.left_stop_ms,
        next_stop=facts.next_stop,
        rides_free=facts.rides_free,
        salt=salt.hex(),
        city=city,
        taps=tuple(listed(tap) for tap in sorted(facts.taps, key=lambda tap: tap.tapped_ms)),
        phones=tuple(listed_phone(key, code_key, salt) for key in facts.phones),
        age_max_ms=rules.list_age_max_ms,
        round_ms=rules.round_ms,
        fine_tiyn=rules.fine_tiyn,
    )


def ticket_hash(tap: KnownTap, code_key: bytes, salt: bytes) -> str:
    """Return what a list calls a tap: the hash of the code that a ticket of it bears."""
    return code_hash(ticket_code(tap.key, tap.medium_id, code_key), salt)


def inspect(question: Question, held: VehicleList, now_ms: int) -> Judged:
    """Return whether who shows ``question.code`` may ride on the vehicle at ``now_ms``. Asking changes nothing.

    A code that is no code, or of a medium that never rode, is answered as one that has not paid: the answer does not
    say which codes exist (attack 11). What is paid for is good for as many passengers as it was paid for: one more who
    shows it in the same round has it from another (a message passed on). In a later round everybody is asked again.

    Raises:
        ValueError: if ``held`` is the list of another vehicle.
    """
    if question.vehicle_id != held.vehicle_id:
        raise ValueError(f"inspection: asked for vehicle {question.vehicle_id}, the list is of {held.vehicle_id}")
    showing = shown(question.code, held, now_ms)
    own = [tap for tap in held.taps if showing.code_hash and showing.code_hash in {tap.code_hash, tap.ticket_hash}]
    paid = [tap for tap in own if tap.here and now_ms < tap.until_ms]
    since_ms = now_ms - held.round_ms
    tap = _latest([tap for tap in paid if _has_place(tap, question.showing_id, since_ms)], here=True)
    if tap is not None:
        free = tap.outcome is TapOutcome.FREE_BY_RULE
        return Judged(verdict=_verdict(Standing.FREE if free else Standing.PAID, held, tap), tap=tap)
    if held.rides_free:
        return Judged(verdict=_verdict(Standing.FREE, held, None))
    if not showing.picture and now_ms - held.complete_until_ms > held.age_max_ms:
        return Judged(verdict=_verdict(Standing.UNKNOWN, held, None))
    standing, tap = (Standing.NOT_LIVE, None) if showing.picture else _unpaid(own, now_ms)
    if held.left_stop_ms and not question.boarded_before:
        return Judged(
            verdict=Verdict(
                standing=Standing.GRACE,
                otherwise=standing,
                next_stop=held.next_stop,
                complete_until_ms=held.complete_until_ms,
            )
        )
    return Judged(verdict=_verdict(standing, held, tap))


def _has_place(tap: ListedTap, showing_id: str, since_ms: int) -> bool:
    """Return whether one more passenger may show ``tap`` than have shown it since; what is free has no end."""
    if tap.outcome is TapOutcome.FREE_BY_RULE:
        return True
    before = sum(one.showing_id != showing_id and one.at_ms > since_ms for one in tap.shown)
    return before < (sum(rider.count for rider in tap.riders) or 1)


def _unpaid(own: list[ListedTap], now_ms: int) -> tuple[Standing, ListedTap | None]:
    """Return why the ride is not paid, and the tap that shows it."""
    latest = _latest(own, here=True)
    if latest is not None:
        return (Standing.SHOWN if now_ms < latest.until_ms else Standing.EXPIRED), latest
    elsewhere = _latest(own, here=False)
    if elsewhere is not None and now_ms < elsewhere.until_ms:
        return Standing.OTHER_VEHICLE, elsewhere
    refused = [tap for tap in own if tap.here and not tap.until_ms]
    if refused:
        return Standing.REFUSED, refused[-1]
    return Standing.NOT_PAID, None


def _latest(own: list[ListedTap], *, here: bool) -> ListedTap | None:
    """Return the last tap that began a ride, here or elsewhere."""
    rides = [tap for tap in own if tap.here is here and tap.until_ms]
    return max(rides, key=lambda tap: tap.until_ms, default=None)


def _verdict(standing: Standing, held: VehicleList, tap: ListedTap | None) -> Verdict:
    return Verdict(
        standing=standing,
        tapped_ms=tap.tapped_ms if tap is not None else 0,
        until_ms=tap.until_ms if tap is not None else 0,
        riders=tap.riders if tap is not None else (),
        shown_ms=_shown_ms(tap) if tap is not None and standing is Standing.SHOWN else 0,
        complete_until_ms=held.complete_until_ms,
    )


def _shown_ms(tap: ListedTap) -> int:
    return max((one.at_ms for one in tap.shown), default=0)
