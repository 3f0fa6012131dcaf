"""Closed enumerations of what can become of a report, a vehicle and an arrival. Each member is a metric label."""

import enum


class Rejection(enum.StrEnum):
    """Why a position report does not move a live vehicle, in order of precedence."""

    NO_PLACE = enum.auto()  # (0, 0), not a number, or outside ±90/±180
    BAD_CLOCK = enum.auto()  # fix time in the future of its receipt
    ARCHIVED = enum.auto()  # black-box record: history, never the live vehicle
    STALE = enum.auto()  # too old when it came
    REPEATED = enum.auto()  # same vehicle, same fix time
    OUT_OF_ORDER = enum.auto()  # older than what the vehicle already reported
    FAR_AWAY = enum.auto()  # outside the network's surroundings
    JUMP = enum.auto()  # faster than a bus can be


class Phase(enum.StrEnum):
    """What a vehicle is doing. Codes are the order of definition (see ``codec``)."""

    UNASSIGNED = enum.auto()  # no pattern fits well enough yet: an answer, not an error
    IN_SERVICE = enum.auto()
    LAYOVER = enum.auto()  # at a terminal, before a run
    OFF_ROUTE = enum.auto()  # had a run, left the line
    SILENT = enum.auto()  # nothing heard for too long
    DEADHEAD = enum.auto()  # under way on no line's business: to or from a depot or a terminal
    AT_DEPOT = enum.auto()  # parked


class Occupancy(enum.StrEnum):
    """How full a vehicle is: names and order of GTFS-Realtime's ``OccupancyStatus``."""

    EMPTY = enum.auto()
    MANY_SEATS_AVAILABLE = enum.auto()
    FEW_SEATS_AVAILABLE = enum.auto()
    STANDING_ROOM_ONLY = enum.auto()
    CRUSHED_STANDING_ROOM_ONLY = enum.auto()
    FULL = enum.auto()


class DetourState(enum.StrEnum):
    """How sure it is that vehicles are led another way than their line (``tracking.detours``)."""

    SUSPECTED = enum.auto()  # several left the line at one place; or a known detour is in doubt, or nobody came by
    CONFIRMED = enum.auto()  # several drove it from end to end, and nobody the regular way since
    OVER = enum.auto()  # the way is free again, or nothing was heard of it for too long


class ArrivalState(enum.StrEnum):
    """What an arrival rests on."""

    LIVE = enum.auto()  # the vehicle is on the run
    LIVE_TERMINAL = enum.auto()  # the vehicle stands at the terminal, before the run: less sure
    TIMETABLE = enum.auto()
    HEADWAY = enum.auto()
    CANCELLED = enum.auto()
