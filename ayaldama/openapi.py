"""The description of our HTTP API (OpenAPI 3.1), made from the types of its answers.

Each operation of ``/api/`` is one line of ``OPERATIONS``; a test asks the running application whether any is missing.
"""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ayaldama.health import Readiness
from ayaldama.web import DemoAnswer
from ayaldama.web.city import City
from dispatch.accuracy import AccuracyAnswer
from dispatch.live import DetourList, VehicleAhead, VehicleList
from stop_display.model import BoardAnswer, FoundStops

JSON: Final = "application/json"
DESCRIPTION: Final = (
    "Times ending in `_ms` are UTC epoch milliseconds. "
    "More requests of one address than are allowed are answered with 429 and Retry-After."
)
REFERENCE: Final = "#/components/schemas/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One GET. ``answer``: the struct of a 200, None where its schema is a standard of its own."""

    path: str
    summary: str
    answer: type[msgspec.Struct] | None
    content_type: str = JSON
    parameters: tuple[tuple[str, str], ...] = ()  # of path or query → meaning
    failures: tuple[tuple[int, str], ...] = ()


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


def describe() -> dict[str, Any]:
    """Return the OpenAPI document."""
    answers = [operation.answer for operation in OPERATIONS if operation.answer is not None]
    schemas, components = msgspec.json.schema_components(answers, ref_template=REFERENCE)
    schema_of = dict(zip(answers, schemas, strict=True))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ayaldama",
            "version": importlib.metadata.version("ayaldama"),
            "description": DESCRIPTION,
        },
        "paths": {
            operation.path: {
                "get": _described(operation, schema_of.get(operation.answer) if operation.answer else None)
            }
            for operation in OPERATIONS
        },
        "components": {"schemas": components},
    }


def _described(operation: Operation, schema: Mapping[str, Any] | None) -> dict[str, Any]:
    content = {operation.content_type: {"schema": schema or {"type": "object"}}}
    return {
        "summary": operation.summary,
        "parameters": [
            {
                "name": name,
                "in": "path" if f"{{{name}}}" in operation.path else "query",
                "required": f"{{{name}}}" in operation.path,
                "description": meaning,
                "schema": {"type": "string"},
            }
            for name, meaning in operation.parameters
        ],
        "responses": {
            "200": {"description": operation.summary, "content": content},
            **{str(status): {"description": meaning} for status, meaning in operation.failures},
        },
    }
