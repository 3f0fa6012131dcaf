"""What the web role's API answers."""

from typing import Final

from ayaldama.health import Readiness
from ayaldama.openapi import Operation
from ayaldama.web import DemoAnswer
from ayaldama.web.city import City
from dispatch.accuracy import AccuracyAnswer
from dispatch.live import DetourList, VehicleAhead, VehicleList
from stop_display.model import BoardAnswer, FoundStops
from stop_display.stop_page.model import Approaches, ComingVehicles, NearStops, ReportTaken
from stop_display.stop_page.report import ProblemReport

STOP_ID: Final = "stop_id of the GTFS feed"
NO_SUCH_STOP: Final = (404, "No such stop")

OPERATIONS: Final = (
    Operation(
        path="/api/accuracy",
        summary="How what boards were told compared with what happened, by route and minutes ahead",
        answer=AccuracyAnswer,
        parameters=(("period", "`hour` (the last one judged; default) or a service date, YYYY-MM-DD"),),
        failures=((400, "period is neither"), (503, "The database does not answer")),
    ),
    Operation(path="/api/city", summary="The city: how large it is, and its busiest stops", answer=City),
    Operation(
        path="/api/demo", summary="Figures of the demo's simulator, measured against its truth", answer=DemoAnswer
    ),
    Operation(path="/api/detours", summary="Where vehicles are led another way than their line now", answer=DetourList),
    Operation(
        path="/api/network.geojson",
        summary="Lines and stops of the planned network (GeoJSON)",
        answer=None,
        content_type="application/geo+json",
    ),
    Operation(
        path="/api/stops",
        summary="Stops found by name in any language, code or id; the busiest without a query",
        answer=FoundStops,
        parameters=(("query", "What people type"), ("limit", "How many stops, 1 to 50; 10 if not given")),
        failures=((400, "limit is no number from 1 to 50"),),
    ),
    Operation(
        path="/api/stops/{stop_id}/board",
        summary="The next buses at a stop, for boards that poll; with If-None-Match, 304 while nothing has changed",
        answer=BoardAnswer,
        parameters=(("stop_id", "stop_id of the GTFS feed"),),
        failures=((304, "Nothing changed; X-Server-Ms and X-As-Of-Ms say the times"), (404, "No such stop")),
    ),
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
    Operation(path="/api/vehicles", summary="All vehicles on the map now", answer=VehicleList),
    Operation(
        path="/api/vehicles/{vehicle_id}",
        summary="One vehicle and the stops ahead of it",
        answer=VehicleAhead,
        parameters=(("vehicle_id", "Id of the vehicle"),),
        failures=((404, "No such vehicle on the map"),),
    ),
    Operation(
        path="/readyz",
        summary="Whether what passengers see is true: servers, timetable, tracking",
        answer=Readiness,
        failures=((503, "Something is not well; the same body says what"),),
    ),
)
