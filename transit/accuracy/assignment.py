"""How often a vehicle is on the run that it is taken for: what was made of each report, beside what a person labelled.

Labels are two columns of a recording: ``actual_phase`` (names of phases joined by ``_+``, any of which is right; empty:
not labelled) and ``actual_trip_id`` (empty: not known).
"""

from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from gtfs_data.network import Network
from transit.accuracy.recording import Recording
from transit.accuracy.replay import replay
from transit.outcomes import Phase

IN_PROGRESS: Final = "IN_PROGRESS"


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of labelled reports, and of those among them that were taken for what they are."""

    with_trip: int  # in progress, on a trip of the feed
    right_direction: int  # of these: taken for in service on the right route in the right direction
    right_trip: int  # of these: on the right trip
    in_progress: int
    in_progress_served: int  # of these: taken for in service
    elsewhere: int  # on layover, deadhead or at base, and nothing else
    elsewhere_served: int  # of these: taken for in service

    def __add__(self, other: "Assignment") -> "Assignment":
        """Return the counts of both."""
        fields = self.__struct_fields__
        return Assignment(**{field: getattr(self, field) + getattr(other, field) for field in fields})


def assignment(
    network: Network, recording: Recording, labels: pd.DataFrame, progress: Callable[[int], None] | None = None
) -> Assignment:
    """Replay ``recording`` and compare what was made of its reports with ``labels`` (see ``labels_of``).

    ``progress`` is told how many reports are done.
    """
    kept = _Kept()
    replay(network, recording, positions=kept, progress=progress)
    said = kept.table()
    both = labels.merge(said, on=("vehicle_id", "fix_ms"), how="left").fillna(
        {"phase": "", "route_id": "", "trip_id": ""}
    )
    return _counted(network, both)


def _counted(network: Network, reports: pd.DataFrame) -> Assignment:
    served = reports.phase == Phase.IN_SERVICE.value
    in_progress = reports.actual_phase == IN_PROGRESS
    elsewhere = (reports.actual_phase != "") & ~reports.actual_phase.str.contains(IN_PROGRESS)
    trips, patterns = network.trips, network.patterns
    trip = np.array([network.trip_by_id.get(one, -1) for one in reports.actual_trip_id], dtype=np.int64)
    pattern = trips.pattern[trip]
    with_trip = in_progress & (trip >= 0)
    route = np.array([network.routes.ids[one] for one in patterns.route[pattern].tolist()], dtype=np.object_)
    direction = (reports.route_id == route) & (reports.direction_id == patterns.direction[pattern])
    return Assignment(
        with_trip=int(with_trip.sum()),
        right_direction=int((with_trip & direction).sum()),
        right_trip=int((with_trip & (reports.trip_id == reports.actual_trip_id)).sum()),
        in_progress=int(in_progress.sum()),
        in_progress_served=int((in_progress & served).sum()),
        elsewhere=int(elsewhere.sum()),
        elsewhere_served=int((elsewhere & served).sum()),
    )


class _Kept:
    """Keeps the tables it is given."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []

    def write(self, table: pa.Table) -> None:
        self._tables.append(table)

    def table(self) -> pd.DataFrame:
        return pa.concat_tables(self._tables).to_pandas()
