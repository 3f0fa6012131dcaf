"""Staff on the web's pages: who is signed in by ``ayaldama people``, and what that opens. All else is refused."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from commons.clock import Clock
from fare.api.signed_in import Doorkeeper
from fare.people import Right
from fare.sign_in import SignIn
from fare.store.postgres_people import PostgresPeople
from gtfs_data.network import Network
from stop_display.panels.desk import PanelDesk
from stop_display.panels.routes import FleetRoutes
from stop_display.server import Boards

STAFF: Final = "/api/staff"  # sign-in, sign-out, me: the same people and sessions as the accountant's page


def fleet_routes(
    boards: Boards,
    desk: PanelDesk,
    network: Network,
    *,
    version: str,
    people: PostgresPeople,
    clock: Clock,
    address_of: Callable[[web.Request], str],
) -> list[web.RouteDef]:
    """Return the routes of the fleet of boards, and those by which staff sign in on this port."""
    door = Doorkeeper(SignIn(people, clock=clock), people, clock, address_of)

    async def reading(request: web.Request) -> None:
        await door.reading(request, Right.WATCH_BOARDS)

    async def acting(request: web.Request) -> str:
        return (await door.writing(request, Right.WATCH_BOARDS)).person.name

    fleet = FleetRoutes(
        desk,
        network,
        version=version,
        contents=boards.contents,
        reading=reading,
        acting=acting,
        address_of=address_of,
        clock=clock,
    )
    return [*door.routes(STAFF), *fleet.routes()]
