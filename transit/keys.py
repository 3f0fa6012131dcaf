"""Names of everything in Redis. The city is a hash tag, so that one city's keys share a slot of a Redis Cluster."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """Redis keys of one ``city``."""

    city: str

    @property
    def reports(self) -> str:
        """Stream of position batches; field ``b`` holds ``codec.encode_reports``."""
        return f"{{{self.city}}}:reports"

    @property
    def changes(self) -> str:
        """Stream of changes, one entry per batch; field ``u`` holds ``codec.encode_update``."""
        return f"{{{self.city}}}:changes"

    @property
    def changes_number(self) -> str:
        """Number of the newest change, by which the writer notices that Redis lost what it held."""
        return f"{{{self.city}}}:changes-number"

    @property
    def vehicles(self) -> str:
        """Hash: vehicle id → ``codec.encode_vehicle``."""
        return f"{{{self.city}}}:vehicles"

    @property
    def detours(self) -> str:
        """Hash: detour id → ``codec.encode_detour``; those that are over are not in it."""
        return f"{{{self.city}}}:detours"

    @property
    def alerts(self) -> str:
        """Hash: alert id → ``codec.encode_alert``."""
        return f"{{{self.city}}}:alerts"

    @property
    def cancellations(self) -> str:
        """Hash: name of a run or trip → ``codec.encode_cancellation``."""
        return f"{{{self.city}}}:cancellations"

    @property
    def notices_number(self) -> str:
        """Number that grows with every change of alerts and cancellations."""
        return f"{{{self.city}}}:notices-number"

    def arrivals(self, stop_id: str) -> str:
        """Hash of one stop: arrival key → ``codec.encode_arrival``."""
        return f"{{{self.city}}}:arrivals:{stop_id}"

    @property
    def arrival_stops(self) -> str:
        """Set of stop ids that have arrivals, so that a snapshot needs no SCAN."""
        return f"{{{self.city}}}:arrival-stops"

    @property
    def checkpoint(self) -> str:
        """Hash of tracking's last checkpoint: ``state``, ``stream_id``, ``feed_hash``, ``schema``."""
        return f"{{{self.city}}}:checkpoint"

    @property
    def said(self) -> str:
        """Stream of what was published, one entry a minute; field ``s``, see ``store.accuracy``."""
        return f"{{{self.city}}}:said"

    @property
    def occupancy(self) -> str:
        """Hash: vehicle id → how full it is, see ``store.redis_occupancy``."""
        return f"{{{self.city}}}:occupancy"

    @property
    def demo(self) -> str:
        """Figures that the simulator measures against its truth, JSON."""
        return f"{{{self.city}}}:demo"
