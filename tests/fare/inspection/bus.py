"""A bus with an inspector aboard, as text: taps of riders, and questions about them.

Times are minutes and seconds after ten o'clock (04:30). A tap: ``who here|elsewhere at outcome until riders``, and when
inspectors were shown it: ``shown@05:00,06:00``. Everybody has a phone with a key of their own.

Passengers show the check code of their medium (``ann``), the code of one ticket (``ticket ann``: of the first tap), a
phone's live code (``phone ann``), a picture of it (``picture ann``), one of the near future (``ahead ann``), one by the
right key for another city (``foreign ann``), or one by a key that nobody registered (``stranger ann``).
"""

from dataclasses import dataclass

from fare.inspection.check_code import check_code, ticket_code
from fare.inspection.values import InspectionRules, KnownTap, Question, Showing, VehicleFacts, VehicleList, Verdict
from fare.inspection.verdict import inspect, vehicle_list
from fare.model import MediumId, RiderCategory, Riders
from fare.outcomes import TapOutcome
from fare.phone.own_qr import own_code
from tests.fare.phone.phones import CITY, key, private

TEN_MS = 1_789_970_400_000
KEY, SALT = bytes(range(16)), bytes(16)
RULES = InspectionRules()


def at_ms(text: str) -> int:
    minutes, seconds = text.split(":")
    return TEN_MS + int(minutes) * 60_000 + int(seconds) * 1_000


def riders(text: str) -> tuple[Riders, ...]:
    parts = () if text == "-" else text.split(",")
    return tuple(Riders(category=RiderCategory(part.rstrip("0123456789")), count=int(part[-1])) for part in parts)


def tap(number: int, line: str) -> KnownTap:
    who, where, at, outcome, until, who_rides, *shown = line.split()
    times = shown[0].removeprefix("shown@").split(",") if shown else []
    return KnownTap(
        key=f"v-1:{number}",
        medium_id=MediumId(who),
        vehicle_id="bus-7" if where == "here" else "bus-8",
        tapped_ms=at_ms(at),
        outcome=TapOutcome(outcome),
        riders=riders(who_rides),
        until_ms=at_ms(until) if until != "-" else 0,
        shown=tuple(Showing(showing_id=f"earlier-{time}", at_ms=at_ms(time)) for time in times),
    )


@dataclass(frozen=True, kw_only=True)
class Bus:
    taps: str = ""
    reported: str = "10:00"
    left_stop: str = ""
    next_stop: str = "Базар"
    rides_free: bool = False

    def facts(self) -> VehicleFacts:
        return VehicleFacts(
            vehicle_id="bus-7",
            route_id="12",
            taps=self.known(),
            phones=tuple(key(who, medium_id=MediumId(who)) for who in sorted({one.medium_id for one in self.known()})),
            complete_until_ms=at_ms(self.reported),
            left_stop_ms=at_ms(self.left_stop) if self.left_stop else 0,
            next_stop=self.next_stop,
            rides_free=self.rides_free,
        )

    def known(self) -> tuple[KnownTap, ...]:
        return tuple(tap(number, line) for number, line in enumerate(self.taps.strip().splitlines(), start=1))

    def held(self) -> VehicleList:
        return vehicle_list(self.facts(), KEY, SALT, at_ms("10:00"), RULES, city=CITY)

    def code(self, what: str, at: str = "10:00") -> str:
        """Return what somebody shows, as it was typed or scanned."""
        how, _, who = what.rpartition(" ")
        match how:
            case "":
                return code_of(who)
            case "ticket":
                keys = [one.key for one in self.known() if one.medium_id == who]
                return ticket_code(keys[0] if keys else "v-1:99", MediumId(who), KEY)
            case _:
                shift_s = {"picture": -31, "ahead": 11}.get(how, -5)
                city = "astana" if how == "foreign" else CITY
                holder = private("nobody registered this" if how == "stranger" else who)
                return own_code(holder, city=city, now_ms=at_ms(at) + shift_s * 1_000)


def code_of(who: str) -> str:
    return check_code(MediumId(who), KEY)


def ask(
    bus: Bus, what: str, at: str = "10:00", *, boarded_before: bool = True, showing_id: str = "this one"
) -> Verdict:
    question = Question(
        vehicle_id="bus-7", code=bus.code(what, at), boarded_before=boarded_before, showing_id=showing_id
    )
    return inspect(question, bus.held(), at_ms(at)).verdict
