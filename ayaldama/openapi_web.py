"""What the web role's API answers."""

from typing import Final

from ayaldama.health import Readiness
from ayaldama.openapi import Operation
from ayaldama.openapi_stops import OPERATIONS as OF_STOPS
from ayaldama.web import DemoAnswer
from ayaldama.web.city import City
from dispatch.accuracy import AccuracyAnswer
from dispatch.live import DetourList, VehicleAhead, VehicleList
from fare.api.signed_in import Me, SignInSent
from stop_display.model import BoardAnswer, FoundStops
from stop_display.panels.model import Configuration, PanelHealth
from stop_display.panels.routes import FleetShown, Wall
from stop_display.renderings._base import renderings
from stop_display.timetable import Timetable

RENDERINGS: Final = tuple(
    Operation(
        path=f"/api/stops/{{stop_id}}/{form.path}",
        summary=form.summary,
        answer=form.answer,
        content_type=form.content_type,
        parameters=(("stop_id", "stop_id of the GTFS feed"), *((one.name, one.meaning) for one in form.parameters)),
        failures=(
            (304, "Says the same as what If-None-Match names"),
            (400, "A parameter is not what its rule says"),
            (404, "No such stop"),
            *([(206, "The range of bytes asked for"), (416, "No byte is in that range")] if form.voice else []),
            (503, "No voice or font is installed, or too much is asked for at once"),
        ),
    )
    for rendering in renderings().values()
    for form in rendering.forms
)


_KEY: Final = (
    (401, "`Authorization: Bearer KEY` is missing, or the key is unknown or revoked"),
    (429, "Too many wrong keys of this address; a right one is always taken"),
)
_SIGNED_OUT: Final = (
    (401, "Nobody is signed in"),
    (403, "Another role's; it is noted"),
    (429, "Too often"),
)

_FLEET: Final = (
    Operation(
        path="/api/boards/fleet",
        summary="Registered boards: which are dark, stale or wrong, what they reported, from fix to pixel",
        answer=FleetShown,
        failures=_SIGNED_OUT,
    ),
    Operation(
        method="POST",
        path="/api/boards/fleet/{panel}/reload",
        summary="Have a registered board load its page anew; answered 204. Repeats `X-CSRF-Token` of /api/staff/me",
        answer=None,
        parameters=(("panel", "Name of the board"),),
        failures=((404, "No such board"), *_SIGNED_OUT),
    ),
    Operation(
        path="/api/boards/wall",
        summary="Stops that buses call at, 300 a page, for the wall of all boards",
        answer=Wall,
        parameters=(("page", "Which page, from 1; 1 if not given"),),
        failures=((400, "There is no such page"),),
    ),
    Operation(
        path="/api/panels/configuration",
        summary="What the registered board of a key is to be (`Authorization: Bearer KEY`)",
        answer=Configuration,
        failures=_KEY,
    ),
    Operation(
        method="POST",
        path="/api/panels/health",
        summary="A registered board reports of itself every 30 to 60 s; the answer is its configuration",
        body=PanelHealth,
        answer=Configuration,
        failures=((400, "A field breaks its rule, or the body is no report"), *_KEY),
    ),
    Operation(
        method="POST",
        path="/api/staff/sign-in",
        summary="Sign in with name, password and, where the account has one, a code; the session is a cookie",
        body=SignInSent,
        answer=Me,
        failures=(
            (400, "The body has another form"),
            (401, "Wrong, and not said what of it"),
            (429, "Too many tries"),
        ),
    ),
    Operation(method="POST", path="/api/staff/sign-out", summary="End the session", answer=None, failures=_SIGNED_OUT),
    Operation(path="/api/staff/me", summary="Who is signed in, and may do what", answer=Me, failures=_SIGNED_OUT),
)

OPERATIONS: Final = (
    *OF_STOPS,
    *RENDERINGS,
    *_FLEET,
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
