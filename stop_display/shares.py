"""How many connections one address may have, so that one machine cannot take the places of all boards. Pure.

Mobile operators put thousands of telephones behind one address, and a street's panels beside them. So the share of an
address is large, a board that shows its key takes nothing of it, and a few connections beyond it may come in to show
one: who has waited longest there makes room for the next, so that nobody can sit in the way of a key.
"""

import ipaddress
from collections import Counter
from typing import Final, Generic, TypeVar

ASKING_MAX: Final = 50  # a board says its key one round trip after it came
SUBSCRIBER_BITS: Final = 64  # of an IPv6 address: one line, one telephone has all addresses behind them

Who = TypeVar("Who")


class Shares(Generic[Who]):
    """Who holds a place of its address' share, and who came beyond it. ``most``: places of one address."""

    def __init__(self, most: int, *, asking_max: int = ASKING_MAX) -> None:
        self._most = most
        self._asking_max = asking_max
        self._holding: dict[Who, str] = {}
        self._held: Counter[str] = Counter()
        self._asking: dict[str, dict[Who, None]] = {}  # in the order in which they came

    def enter(self, origin: str, who: Who) -> Who | None:
        """Take ``who`` in; return who must go for it, None if nobody.

        ``origin`` is what ``origin_of`` makes of an address. At no time are more than ``most`` and ``asking_max`` in.
        """
        if self.claim(origin, who):
            return None
        asking = self._asking.setdefault(origin, {})
        asking[who] = None
        if len(asking) <= self._asking_max:
            return None
        longest = next(iter(asking))
        self._ask_no_more(origin, longest)
        return longest

    def claim(self, origin: str, who: Who) -> bool:
        """Give ``who`` a place of the share, if it has none yet; return False if all are taken."""
        if who in self._holding:
            return True
        if self._held[origin] >= self._most:
            return False
        self._ask_no_more(origin, who)
        self._holding[who] = origin
        self._held[origin] += 1
        return True

    def leave(self, origin: str, who: Who) -> None:
        """Count ``who`` no more: it has gone, or has shown a key."""
        self._ask_no_more(origin, who)
        if self._holding.pop(who, None) is not None:
            self._held[origin] -= 1
        if not self._held[origin]:
            del self._held[origin]

    def _ask_no_more(self, origin: str, who: Who) -> None:
        asking = self._asking.get(origin, {})
        asking.pop(who, None)
        if not asking:
            self._asking.pop(origin, None)


def origin_of(address: str) -> str:
    """Return whom an address stands for: itself, for IPv6 the network of 64 bits that one subscriber is given."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address  # a Unix socket has none
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found) & ~((1 << SUBSCRIBER_BITS) - 1), SUBSCRIBER_BITS)))
