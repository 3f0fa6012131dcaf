"""Answers to messages, as riders read them: in their language, in one message where that is possible. Pure.

A ticket says who carries, on which bus and line, what it cost, when it counts, and a code that an inspector can check.
In Kazakh and Russian a message has 70 characters (UCS-2; 3GPP TS 23.038), so of the carrier as much is said as fits.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from commons.texts import Catalogue, Language
from fare.purchases import BuyRefusal, Ticket
from fare.sms.values import NextBus, StopBoard

SHORT: Final = 70  # characters of a message that is not in the GSM alphabet
GSM: Final = 160  # of one that is: of ours, those in ASCII
STOP_NAME_MAX: Final = 20
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
        return whole[: max(len(said), GSM if whole.isascii() else SHORT)].rstrip()  # the code is never cut

    def refusal(self, refusal: BuyRefusal, *, bus: str) -> str:
        """Return why there is no ticket."""
        return self.text(f"refused.{refusal.value}", bus=bus)

    def bad_riders(self, riders_max: int, code: str) -> str:
        """Return how several riders are asked for."""
        return self.text("bad_riders", riders=str(riders_max), example=f"{code} {EXAMPLE_RIDERS}")

    def board(self, board: StopBoard) -> str:
        """Return the next buses at a stop: as many as fit one message."""
        stop = board.name[:STOP_NAME_MAX].rstrip()
        said = ""
        for bus in board.buses:
            longer = f"{said}, {self._bus(bus)}" if said else f"{stop}: {self._bus(bus)}"
            if len(longer) > SHORT and said:
                break
            said = longer
        return said or self.text("no_buses", stop=stop)

    def amount(self, amount_tiyn: int) -> str:
        """Return an amount such as ``100₸``; tiyn are said where there are any."""
        tenge, tiyn = divmod(amount_tiyn, 100)
        number = f"{tenge}.{tiyn:02}" if tiyn else str(tenge)
        return f"{number} KZT" if self.language == "en" else f"{number}₸"

    def _bus(self, bus: NextBus) -> str:
        key = "bus_live" if bus.live else "bus_planned"
        return self.text(key, line=bus.route, minutes=str(bus.minutes))

    def _local(self, at_ms: int) -> dt.datetime:
        return dt.datetime.fromtimestamp(at_ms // 1000, self.zone)
