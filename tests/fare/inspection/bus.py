"""A bus with an inspector aboard, as text: taps of riders, and questions about them.

Times are minutes and seconds after ten o'clock (04:30). A tap: ``who here|elsewhere at outcome until riders``.
"""

from dataclasses import dataclass

from fare.inspection.check_code import check_code
from fare.inspection.values import InspectionRules, KnownTap, Question, VehicleFacts, VehicleList, Verdict
from fare.inspection.verdict import inspect, vehicle_list
from fare.model import MediumId, RiderCategory, Riders
from fare.outcomes import TapOutcome

TEN_MS = 1_789_970_400_000
KEY, SALT = bytes(range(16)), bytes(16)
RULES = InspectionRules()


def at_ms(text: str) -> int:
    minutes, seconds = text.split(":")
    return TEN_MS + int(minutes) * 60_000 + int(seconds) * 1_000


def riders(text: str) -> tuple[Riders, ...]:
    parts = () if text == "-" else text.split(",")
    return tuple(Riders(category=RiderCategory(part.rstrip("0123456789")), count=int(part[-1])) for part in parts)


def tap(line: str) -> KnownTap:
    who, where, at, outcome, until, who_rides = line.split()
    return KnownTap(
        medium_id=MediumId(who),
        vehicle_id="bus-7" if where == "here" else "bus-8",
        tapped_ms=at_ms(at),
        outcome=TapOutcome(outcome),
        riders=riders(who_rides),
        until_ms=at_ms(until) if until != "-" else 0,
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
            taps=tuple(tap(line) for line in self.taps.strip().splitlines()),
            complete_until_ms=at_ms(self.reported),
            left_stop_ms=at_ms(self.left_stop) if self.left_stop else 0,
            next_stop=self.next_stop,
            rides_free=self.rides_free,
        )

    def held(self) -> VehicleList:
        return vehicle_list(self.facts(), KEY, SALT, at_ms("10:00"), RULES)


def code_of(who: str) -> str:
    return check_code(MediumId(who), KEY)


def ask(bus: Bus, who: str, at: str = "10:00", *, boarded_before: bool = True) -> Verdict:
    question = Question(vehicle_id="bus-7", code=code_of(who), boarded_before=boarded_before)
    return inspect(question, bus.held(), at_ms(at))
