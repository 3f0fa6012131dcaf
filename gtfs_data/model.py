"""Identifiers and dense indexes of the planned network.

An ``…Id`` is the feed's own string; an ``…Idx`` is its dense place in the arrays of one ``Network`` and means nothing
outside it. -1 stands for "none" in every array of indexes.
"""

from typing import Final, NewType

StopId = NewType("StopId", str)
RouteId = NewType("RouteId", str)
TripId = NewType("TripId", str)
ServiceId = NewType("ServiceId", str)
BlockId = NewType("BlockId", str)

StopIdx = NewType("StopIdx", int)
RouteIdx = NewType("RouteIdx", int)
PatternIdx = NewType("PatternIdx", int)
TripIdx = NewType("TripIdx", int)

NONE: Final = -1
