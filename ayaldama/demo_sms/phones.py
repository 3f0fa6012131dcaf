"""Telephones of the demo: whose network they are in, and what they have sent and got. Pure but for who waits."""

import asyncio
import collections
from typing import Final

import msgspec

from fare.media.phone import likely_operator, phone_number
from fare.model import PhoneNumber

KEPT: Final = 100  # messages of one telephone
PHONES_MAX: Final = 500  # anybody may type any number

BEELINE: Final = "beeline"
KCELL: Final = "kcell"
OPERATORS: Final = (KCELL, BEELINE)


class DemoPhone(msgspec.Struct, frozen=True, kw_only=True):
    """A telephone that lies ready. ``about`` is a key of the texts: what the operator says when it is charged."""

    number: PhoneNumber
    operator: str
    about: str


class PhoneMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message on a telephone's screen. ``number`` counts those of one telephone."""

    number: int
    at_ms: int
    mine: bool
    short_code: str
    text: str
    parts: int = 1


def operator_of(number: PhoneNumber) -> str:
    """Return in whose network of the demo a number is: all that is not Beeline's is Kcell's."""
    return BEELINE if "beeline" in likely_operator(number).lower() else KCELL


def _ready(number: str, about: str) -> DemoPhone:
    known = phone_number(number)
    if known is None:
        raise ValueError(f"demo telephone: {number} is no mobile number")
    return DemoPhone(number=known, operator=operator_of(known), about=about)


# By their last two digits the simulated operator knows what is the matter: ``ayaldama.simulate.operator``.
READY: Final = (
    _ready("87011112210", "pays"),
    _ready("87051112210", "pays"),
    _ready("87011112290", "no_credit"),
    _ready("87051112291", "corporate"),
    _ready("87011112292", "sim_changed"),
)


class Phones:
    """The screens of all telephones."""

    def __init__(self) -> None:
        self._screens: dict[str, collections.deque[PhoneMessage]] = {}
        self._changed = asyncio.Condition()

    async def add(self, phone: str, message: PhoneMessage) -> None:
        """Show ``message`` on a telephone; it gets the next number."""
        async with self._changed:
            screen = self._screens.pop(phone, None)
            if screen is None:
                screen = collections.deque(maxlen=KEPT)
                if len(self._screens) >= PHONES_MAX:
                    del self._screens[next(iter(self._screens))]  # the one that was silent for longest
            last = screen[-1].number if screen else 0
            screen.append(msgspec.structs.replace(message, number=last + 1))
            self._screens[phone] = screen
            self._changed.notify_all()

    def after(self, phone: str, number: int) -> list[PhoneMessage]:
        """Return what the telephone shows after its message ``number``."""
        return [message for message in self._screens.get(phone, ()) if message.number > number]

    async def wait(self, phone: str, number: int, seconds: float) -> list[PhoneMessage]:
        """Return what the telephone shows after ``number`` once there is something, or nothing after ``seconds``."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: self.after(phone, number))
        except TimeoutError:
            pass
        return self.after(phone, number)
