"""Answers to messages, as riders read them: in their language, in one message where that is possible. Pure.

A ticket says who carries, on which bus and line, what it cost, when it counts, and a code that an inspector can check.
In Kazakh and Russian a message has 70 characters (UCS-2; 3GPP TS 23.038), so of the carrier as much is said as fits.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from commons.texts import Catalogue, Language
from fare.purchases import BuyRefusal, Ticket
from fare.sms.values import PLAIN, PLAIN_MAX, UCS2_MAX, CancelledBus, NextBus, StopAlert, StopBoard

STOP_NAME_MAX: Final = 20
ROUTES_MAX: Final = 3  # named with an alert
EXAMPLE_RIDERS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsWords:
    """How to answer one rider."""

    catalogue: Catalogue
    language: Language
    zone: ZoneInfo

    def text(self, key: str, **values: str) -> str:
        """Return a text of the catalogue with its values in place."""
        return self.catalogue[self.language][key].format(**values)

    def ticket(self, ticket: Ticket, *, line: str, carrier: str, code: str) -> str:
        """Return a ticket. ``line`` and ``carrier`` as riders call them; ``code``: the ticket's check code."""
        riders = sum(one.count for one in ticket.riders) or 1
        said = self.text(
            "ticket" if riders == 1 else "tickets",
            riders=str(riders),
            bus=ticket.fleet_number,
            line=line,
            price=self.amount(ticket.price_tiyn),
            day=self._local(ticket.from_ms).strftime("%d.%m"),
            start=self._local(ticket.from_ms).strftime("%H:%M"),
            end=self._local(ticket.until_ms).strftime("%H:%M"),
            code=code,
        )
        whole = f"{said} {carrier}"
        return whole[: max(len(said), room(whole))].rstrip()  # the code is never cut

    def refusal(self, refusal: BuyRefusal, *, bus: str) -> str:
        """Return why there is no ticket."""
        return self.text(f"refused.{refusal.value}", bus=bus)

    def bad_riders(self, riders_max: int, code: str) -> str:
        """Return how several riders are asked for."""
        return self.text("bad_riders", riders=str(riders_max), example=f"{code} {EXAMPLE_RIDERS}")

    def board(self, board: StopBoard) -> str:
        """Return the next buses at a stop, what dispatchers say of it, what is cancelled: as much as fits one message.

        Room goes first to the soonest bus, then to the alert that matters most, then to the soonest cancelled bus.
        """
        stop = board.name[:STOP_NAME_MAX].rstrip()
        buses, notes = [self._bus(bus) for bus in board.buses], list[str]()

        def whole(shown: int, *more: str) -> str:
            first = f"{stop}: {', '.join(buses[:shown])}" if shown else self.text("no_buses", stop=stop).rstrip(".")
            return ". ".join([first, *notes, *more])

        def note(alerts: Iterable[StopAlert], cancelled: Iterable[CancelledBus]) -> None:
            for forms in (*map(self._alert, alerts), *([self._cancelled(one)] for one in cancelled)):
                notes.extend([form for form in forms if _fits(whole(shown, form))][:1])

        shown = min(len(buses), 1)
        note(board.alerts[:1], board.cancelled[:1])
        while shown < len(buses) and _fits(whole(shown + 1)):
            shown += 1
        note(board.alerts[1:], board.cancelled[1:])
        return whole(shown) if notes or shown else f"{whole(shown)}."

    def amount(self, amount_tiyn: int) -> str:
        """Return an amount such as ``100₸``; tiyn are said where there are any."""
        tenge, tiyn = divmod(amount_tiyn, 100)
        number = f"{tenge}.{tiyn:02}" if tiyn else str(tenge)
        return f"{number} KZT" if self.language == "en" else f"{number}₸"

    def _bus(self, bus: NextBus) -> str:
        key = "bus_live" if bus.live else "bus_planned"
        return self.text(key, line=bus.route, minutes=str(bus.minutes))

    def _alert(self, alert: StopAlert) -> Iterator[str]:
        """Yield how an alert may be said: in the dispatcher's words, by its effect, with as many words as fit.

        Where the dispatcher's words are in another language, the effect is said first.
        """
        lines = ",".join(alert.routes[:ROUTES_MAX])

        def of_lines(said: str) -> str:
            return self.text("of_lines", lines=lines, said=said) if lines else said[:1].upper() + said[1:]

        header = " ".join(alert.header.split()).rstrip(".")
        effect = self.catalogue[self.language].get(f"effect.{alert.effect}", "")
        yield from (of_lines(said) for said in ((effect, header) if alert.foreign else (header, effect)) if said)
        words = header.split(" ")
        for count in range(len(words) - 1, 0, -1):
            yield of_lines(" ".join(words[:count]) + "...")

    def _cancelled(self, bus: CancelledBus) -> str:
        time = self._local(bus.planned_ms).strftime("%H:%M")
        return self.text("bus_cancelled", line=bus.route, time=time)

    def _local(self, at_ms: int) -> dt.datetime:
        return dt.datetime.fromtimestamp(at_ms // 1000, self.zone)


def room(text: str) -> int:
    """Return how many characters one message has that is written in the letters of ``text``."""
    return PLAIN_MAX if PLAIN.issuperset(text) else UCS2_MAX


def _fits(text: str) -> bool:
    return len(text.encode("utf-16-be", "replace")) // 2 <= room(text)  # some signs take the room of two
