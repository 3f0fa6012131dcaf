"""The description of the API: all of it is there, and nothing that is not served."""

import pytest
from aiohttp import web
from msgspec import Struct

from ayaldama import openapi_fare, openapi_web
from ayaldama.openapi import Operation, describe


class Bus(Struct):
    """A bus."""

    vehicle_id: str


async def serve(_: web.Request) -> web.Response:
    return web.Response()


SHOWN = Operation(path="/api/buses/{vehicle_id}", summary="A bus", answer=Bus, parameters=(("vehicle_id", "Which"),))
ADDED = Operation(method="POST", path="/api/buses", summary="Add buses", body=list[Bus], answer=None)


def test_a_route_without_description_is_not_served() -> None:
    with pytest.raises(ValueError, match="POST /api/buses"):
        describe([SHOWN], [web.get(SHOWN.path, serve), web.post("/api/buses", serve)])


def test_what_is_described_and_not_served_here_is_left_out() -> None:
    assert list(describe([SHOWN, ADDED], [web.get(SHOWN.path, serve)])["paths"]) == [SHOWN.path]


def test_answers_bodies_and_parameters_have_their_types() -> None:
    found = describe([SHOWN, ADDED], [web.get(SHOWN.path, serve), web.post(ADDED.path, serve)])
    shown, added = found["paths"][SHOWN.path]["get"], found["paths"][ADDED.path]["post"]
    bus = {"$ref": "#/components/schemas/Bus"}
    assert shown["responses"]["200"]["content"]["application/json"]["schema"] == bus
    assert [(one["name"], one["in"]) for one in shown["parameters"]] == [("vehicle_id", "path")]
    sent = added["requestBody"]["content"]["application/json"]["schema"]
    assert sent == {"type": "array", "items": bus}
    assert found["components"]["schemas"]["Bus"]["properties"] == {"vehicle_id": {"type": "string"}}


@pytest.mark.parametrize("operations", [openapi_web.OPERATIONS, openapi_fare.OPERATIONS], ids=["web", "fare"])
def test_each_role_can_be_described(operations: tuple[Operation, ...]) -> None:
    routes = [web.route(one.method, one.path, serve) for one in operations]
    found = describe(operations, routes)["paths"]
    assert sum(len(methods) for methods in found.values()) == len(operations)
    for one in operations:
        named = {name for name, _ in one.parameters}
        assert all(part[1:-1] in named for part in one.path.split("/") if part.startswith("{")), one.path
