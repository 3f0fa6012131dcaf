"""Names of what fares keep in Redis. The city is a hash tag, as in ``transit.keys``."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FareKeys:
    """Redis keys of one ``city``."""

    city: str

    @property
    def boardings(self) -> str:
        """Stream of boardings, one entry per stored batch; field ``b``, see ``store.redis_boardings``."""
        return f"{{{self.city}}}:boardings"

    @property
    def figures(self) -> str:
        """What the fare role has done lately, JSON, for the index page."""
        return f"{{{self.city}}}:fares"
