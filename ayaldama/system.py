"""A whole system on one machine: its servers, its database, its processes; from start to end in one function."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import asyncpg
import msgspec
import uvloop

from ayaldama import addresses, embedded
from ayaldama.database import bring_up_to_date
from ayaldama.fares import city_key_path, open_people
from ayaldama.log_file import LogFile
from ayaldama.processes import sole_user_of
from ayaldama.roles._base import open_postgres
from ayaldama.settings import Settings
from ayaldama.supervisor import Planned, Supervisor
from ayaldama.terminal import Steps
from commons.logs import configure_logs
from fare.store.city_key import open_city_key

CITY: Final = (
    Planned(name="intake", roles=("intake",)),
    Planned(name="tracking", roles=("tracking",)),
    Planned(name="fare", roles=("fare",)),
    Planned(name="phone", roles=("phone",)),
    Planned(name="sms", roles=("sms",)),
    Planned(name="web", roles=("boards", "dispatch")),
)
SMS_CENTRE: Final = Planned(name="sms_centre", roles=("sms_centre",))
DEMO_BANKS: Final = Planned(name="demo_banks", roles=("demo_banks",))
SIMULATOR: Final = Planned(name="simulator", roles=("simulator",))

Prepare = Callable[[Settings, asyncpg.Pool, Steps], Awaitable[Settings]]
Announce = Callable[[Settings, Mapping[str, int]], None]


async def _nothing(settings: Settings, _pool: asyncpg.Pool, _steps: Steps) -> Settings:
    return settings


def run_system(
    settings: Settings,
    *,
    steps: Steps,
    announce: Announce,
    prepare: Prepare = _nothing,
    planned: Sequence[Planned] = CITY,
    alongside: Callable[[Settings, asyncio.Event], Awaitable[None]] | None = None,
) -> None:
    """Run the system until SIGTERM or SIGINT. ``announce`` is called when everything is ready.

    ``prepare`` completes the settings once the database is there (the demo makes its feed and devices then);
    ``alongside`` runs beside the ready system (a replay), and when it ends, so does the system.

    Raises:
        ProcessError: if the data folder is in use.
        ServerError: if an embedded server does not start.
        StartError: if a process ends before it is ready.
    """
    folder = settings.data_folder.expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    settings = msgspec.structs.replace(settings, data_folder=folder)
    with sole_user_of(folder):
        home = embedded.open_home(folder, servers=not (settings.redis_url and settings.postgres_url))
        with LogFile(folder / "logs" / "ayaldama.log") as log:
            configure_logs("supervisor", level=settings.log_level, stream=log)  # type: ignore[arg-type]
            try:
                uvloop.run(_run(settings, home, log, steps, announce, prepare, planned, alongside))
            except* Exception as errors:  # noqa: BLE001 - raised again, one alone
                raise _first_of(errors) from None


async def _run(
    settings: Settings,
    home: embedded.ServerHome,
    log: LogFile,
    steps: Steps,
    announce: Announce,
    prepare: Prepare,
    planned: Sequence[Planned],
    alongside: Callable[[Settings, asyncio.Event], Awaitable[None]] | None,
) -> None:
    stop, hurry = _stop_on_signals()
    async with asyncio.TaskGroup() as tasks:
        supervisor = Supervisor(settings, home, log=log, steps=steps, tasks=tasks)
        try:
            settings = _start_servers(settings, home, supervisor, steps)
            async with open_postgres(settings, connections_max=2) as pool:
                with steps.step("database"):
                    await bring_up_to_date(pool)
                    await open_people(pool, open_city_key(city_key_path(settings)))  # seals what was not
                settings = await prepare(settings, pool, steps)
            for one in planned:
                if stop.is_set():
                    return
                supervisor.use(_with_ports(settings, supervisor.ports))
                await supervisor.start(one)
            settings = _with_ports(settings, supervisor.ports)
            supervisor.use(settings)
            with addresses.told(settings, supervisor.ports):
                announce(settings, supervisor.ports)
                watching = tasks.create_task(supervisor.watch(stop), name="watch")
                if alongside is not None:
                    await alongside(settings, stop)
                    stop.set()
                await watching
        finally:
            with steps.step("stopping"):
                await supervisor.close(hurry)


def _start_servers(settings: Settings, home: embedded.ServerHome, supervisor: Supervisor, steps: Steps) -> Settings:
    redis_url, postgres_url = settings.redis_url, settings.postgres_url
    if not redis_url:
        with steps.step("Valkey"):
            redis_url = supervisor.start_server(lambda: embedded.start_valkey(home))
    if not postgres_url:
        with steps.step("PostgreSQL"):
            postgres_url = supervisor.start_server(lambda: embedded.start_postgres(home))
    return msgspec.structs.replace(settings, redis_url=redis_url, postgres_url=postgres_url)


def _with_ports(settings: Settings, ports: Mapping[str, int]) -> Settings:
    """Return ``settings`` with the ports that were found, so that a process that starts again takes the same."""
    replace = msgspec.structs.replace
    protocols = {name: port for name, port in ports.items() if name in settings.for_intake.ports}
    return replace(
        settings,
        intake=replace(settings.intake, ports=replace(settings.intake.ports, **protocols)),
        web=replace(settings.web, port=ports.get("web", settings.web.port)),
        fare=replace(settings.fare, port=ports.get("fare", settings.fare.port)),
        sms=replace(settings.sms, port=ports.get("sms", settings.sms.port)),
        demo=replace(settings.demo, sms_port=ports.get("sms_emulator", settings.demo.sms_port)),
        phone=replace(settings.phone, port=ports.get("phone", settings.phone.port)),
    )


def _stop_on_signals() -> tuple[asyncio.Event, asyncio.Event]:
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop, hurry


def _first_of(errors: BaseExceptionGroup[Exception]) -> Exception:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Exception) else RuntimeError(repr(error))
