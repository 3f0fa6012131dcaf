"""Closed enumerations of what a line at a stop can be in, and of why a board is refused or dropped. Metric labels."""

import enum


class LineState(enum.StrEnum):
    """What is known of one route to one destination at one stop. The page words each; none is an empty list."""

    LIVE = enum.auto()  # at least one arrival rests on a vehicle that reports
    TIMETABLE = enum.auto()  # planned times only: vehicles of this line are not heard
    HEADWAY = enum.auto()  # no times, but "every 8 to 10 minutes" now
    BEFORE_FIRST_TRIP = enum.auto()
    SERVICE_ENDED = enum.auto()  # the last trip of the service day has left
    NO_SERVICE = enum.auto()  # the line does not run today
    NO_DATA = enum.auto()  # tracking is silent and there is no plan to show instead
    CANCELLED = enum.auto()  # all that was to come is cancelled
    DETOUR = enum.auto()  # its buses are led another way and do not stop here now


class Wheelchair(enum.StrEnum):
    """Whether a passenger in a wheelchair can board here: GTFS ``wheelchair_accessible``, ``wheelchair_boarding``."""

    ACCESSIBLE = enum.auto()
    INACCESSIBLE = enum.auto()


class Problem(enum.StrEnum):
    """Why a message of a board was refused."""

    UNREADABLE = enum.auto()  # not JSON, or not a message of ours
    UNKNOWN_STOP = enum.auto()
    UNKNOWN_BOARD = enum.auto()  # no registered board of that name
    NOT_SUBSCRIBED = enum.auto()  # something else came before ``subscribe``
    TOO_FAST = enum.auto()
    ADDRESS_FULL = enum.auto()  # its address has its share of boards; one that shows a right key may still come
    BAD_FRAME = enum.auto()  # larger than allowed, or no WebSocket frame; never sent, the connection ends by its code


class Drop(enum.StrEnum):
    """Why the server closed a board's connection."""

    SLOW = enum.auto()  # did not take what was sent
    NO_SUBSCRIPTION = enum.auto()  # connected and said nothing
    BAD_MESSAGES = enum.auto()
    SILENT = enum.auto()  # pings were not answered
    STOPPING = enum.auto()  # the server ends: come back
    WRONG_KEY = enum.auto()  # forged, or revoked
    ADDRESS_FULL = enum.auto()  # more boards of one address than the settings allow
    FULL = enum.auto()  # more boards than the settings allow
    CROWD = enum.auto()  # too many come at once
