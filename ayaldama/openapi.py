"""The description of the HTTP API that a process serves (OpenAPI 3.1), made from the types of its answers.

Each operation below ``/api/`` is one entry of an ``OPERATIONS``; a process that serves one which has none does not
start.
"""

import importlib.metadata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web

JSON: Final = "application/json"
DESCRIPTION: Final = (
    "Times ending in `_ms` are UTC epoch milliseconds. "
    "More requests of one address than are allowed are answered with 429 and Retry-After."
)
REFERENCE: Final = "#/components/schemas/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One request. ``answer``: type of a 200, None where the form is a standard's; ``body``: of what is sent."""

    path: str
    summary: str
    answer: Any  # a type that msgspec knows, also list[…]
    method: str = "GET"
    body: Any = None
    content_type: str = JSON
    parameters: tuple[tuple[str, str], ...] = ()  # of path or query → meaning
    failures: tuple[tuple[int, str], ...] = ()


def describe(operations: Iterable[Operation], routes: Iterable[web.AbstractRouteDef]) -> dict[str, Any]:
    """Return the OpenAPI document of ``routes``.

    Raises:
        ValueError: if a route below ``/api/`` is not among ``operations``.
    """
    known = {(operation.method, operation.path): operation for operation in operations}
    served = {(route.method, route.path) for route in routes if isinstance(route, web.RouteDef)}
    unknown = sorted(f"{method} {path}" for method, path in served - known.keys() if path.startswith("/api/"))
    if unknown:
        raise ValueError(f"not in the description of the API: {', '.join(unknown)}")
    described = [known[one] for one in sorted(served & known.keys(), key=lambda one: (one[1], one[0]))]
    kinds = [kind for operation in described for kind in (operation.answer, operation.body) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    schema_of = iter(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for operation in described:
        answer = next(schema_of) if operation.answer is not None else None
        body = next(schema_of) if operation.body is not None else None
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, answer, body)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ayaldama",
            "version": importlib.metadata.version("ayaldama"),
            "description": DESCRIPTION,
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _described(
    operation: Operation, answer: Mapping[str, Any] | None, body: Mapping[str, Any] | None
) -> dict[str, Any]:
    content = {operation.content_type: {"schema": answer or {"type": "object"}}}
    sent = {"requestBody": {"required": True, "content": {JSON: {"schema": body}}}} if body is not None else {}
    return sent | {
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
