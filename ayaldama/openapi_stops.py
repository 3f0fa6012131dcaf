"""What the API of the pages of stops answers."""

from typing import Final

from ayaldama.openapi import Operation
from stop_display.stop_page.model import Approaches, ComingVehicles, NearStops, ReportTaken
from stop_display.stop_page.report import ProblemReport

STOP_ID: Final = "stop_id of the GTFS feed"
NO_SUCH_STOP: Final = (404, "No such stop")

OPERATIONS: Final = (
    Operation(
        path="/api/stops/near",
        summary="The stops nearest to a place, nearest first",
        answer=NearStops,
        parameters=(
            ("lat", "Degrees north, such as 44.8488"),
            ("lon", "Degrees east"),
            ("limit", "How many stops, 1 to 30; 8 if not given"),
        ),
        failures=((400, "lat, lon or limit is no such number, or no stop is within 50 km of the place"),),
    ),
    Operation(
        path="/api/stops/{stop_id}/near",
        summary="The stops beside a stop: across the road, of the same name, then by distance",
        answer=NearStops,
        parameters=(("stop_id", STOP_ID), ("limit", "How many stops, 1 to 30; 8 if not given")),
        failures=((400, "limit is no number from 1 to 30"), NO_SUCH_STOP),
    ),
    Operation(
        path="/api/stops/{stop_id}/approaches",
        summary="The ways on which buses come to a stop, as planned, stretch by stretch from stop to stop",
        answer=Approaches,
        parameters=(("stop_id", STOP_ID),),
        failures=(NO_SUCH_STOP,),
    ),
    Operation(
        path="/api/stops/{stop_id}/vehicles",
        summary="Where the vehicles are that the stop's board shows; /stop/{stop_id}/vehicles is the same as a stream "
        "of server-sent events",
        answer=ComingVehicles,
        parameters=(("stop_id", STOP_ID),),
        failures=(NO_SUCH_STOP,),
    ),
    Operation(
        path="/api/stops/{stop_id}/qr.svg",
        summary="The QR code that leads to the stop's page (SVG)",
        answer=None,
        content_type="image/svg+xml",
        parameters=(("stop_id", STOP_ID),),
        failures=((400, "The request names no host"), NO_SUCH_STOP),
    ),
    Operation(
        method="POST",
        path="/api/stops/{stop_id}/reports",
        summary="Report that something is wrong at a stop; a report with a known key counts once",
        answer=ReportTaken,
        body=ProblemReport,
        parameters=(("stop_id", STOP_ID),),
        failures=(
            (400, "Field, value and rule of what is wrong with it"),
            NO_SUCH_STOP,
            (429, "Too many of this address, or open for this stop"),
            (503, "The database does not answer"),
        ),
    ),
)
