"""The database for a single command: the one of the settings, the running system's, or one started for the moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Final

import asyncpg
import msgspec

from ayaldama import embedded
from ayaldama.processes import ProcessError, sole_user_of
from ayaldama.roles._base import open_postgres
from ayaldama.settings import Settings
from commons.migrate import migrate

STORES: Final = (  # packages with migrations
    "transit.store",
    "fare.store",
    "fare.gateways",
    "stop_display.stop_page",
    "stop_display.panels",
)


async def bring_up_to_date(pool: asyncpg.Pool) -> None:
    """Apply the migrations of all rooms.

    Raises:
        MigrationError: if the database and this program disagree.
    """
    for package in STORES:
        await migrate(pool, package)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    """Give the city's database, up to date. Call it from the main thread: it may have to start a server.

    Raises:
        ServerError: if the embedded server does not start.
        OSError, asyncpg.PostgresError: if the database does not answer.
    """
    with ExitStack() as around:
        url = settings.postgres_url or _embedded_url(settings, around)
        async with open_postgres(msgspec.structs.replace(settings, postgres_url=url), connections_max=2) as pool:
            async with asyncio.timeout(60.0):
                await bring_up_to_date(pool)
            yield pool


def _embedded_url(settings: Settings, around: ExitStack) -> str:
    folder = settings.data_folder.expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    home = embedded.open_home(folder)
    try:
        around.enter_context(sole_user_of(folder))
    except ProcessError:  # the system runs: its server is there
        return embedded.postgres_url(home)
    server = embedded.start_postgres(home)
    around.callback(server.stop)
    return server.url
