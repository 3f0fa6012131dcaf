"""What the web role's API answers."""

from typing import Final

from ayaldama.health import Readiness
from ayaldama.openapi import Operation
from ayaldama.web import DemoAnswer
from ayaldama.web.city import City
from dispatch.accuracy import AccuracyAnswer
from dispatch.live import DetourList, VehicleAhead, VehicleList
from stop_display.model import BoardAnswer, FoundStops
from stop_display.timetable import Timetable

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
        path="/api/stops/{stop_id}/timetable",
        summary="All departures of one date at a stop, which boards keep for a time without a network; with ETag",
        answer=Timetable,
        parameters=(
            ("stop_id", "stop_id of the GTFS feed"),
            ("date", "YYYY-MM-DD, from yesterday to a week ahead; today if not given"),
        ),
        failures=((400, "date is none, or too far"), (404, "No such stop")),
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
