"""``ayaldama demo``: a running city on this machine, buses included."""

import asyncio
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import asyncpg
import click
import msgspec

from ayaldama import demo as preparations
from ayaldama.commands._base import Chosen, console
from ayaldama.demo_banks.serving import demo_banks
from ayaldama.demo_fares import prepare_fares
from ayaldama.demo_sms.phones import KCELL
from ayaldama.demo_sms.prepare import prepare_sms
from ayaldama.fares import NoFaresError, read_city_fares
from ayaldama.roles._base import open_network
from ayaldama.settings import BanksSection, Settings
from ayaldama.settings_source import Reading
from ayaldama.simulate.run import vehicle_ids
from ayaldama.system import CITY, DEMO_BANKS, SIMULATOR, SMS_CENTRE, run_system
from ayaldama.terminal import Steps
from commons.clock import SystemClock
from gtfs_data.fares import FaresError

HERE: Final = ("127.0.0.1", "localhost", "0.0.0.0")  # noqa: S104 - compared, not bound to


@click.command("demo")
@click.option("--speed", type=float, metavar="N", help="Let city time run N times as fast (up to 60).")
@click.option("--buses", type=int, metavar="N", help="Buses at the busiest hour (default 200).")
@click.option("--port", type=int, metavar="PORT", help="Port of the pages (default 8080, or a free one).")
@click.option("--start", metavar="WHEN", help="City time at the start: now, morning, evening or auto.")
@click.option("--seed", type=int, metavar="N", help="Same seed, same traffic.")
@click.option("--passengers", type=float, metavar="N", help="Passengers who tap: 1 as many as board, 0 none.")
@click.option("--open", "open_browser", is_flag=True, help="Open the address in a browser, if there is one.")
@click.pass_obj
def demo(
    chosen: Chosen,
    speed: float | None,
    buses: int | None,
    port: int | None,
    start: str | None,
    seed: int | None,
    passengers: float | None,
    open_browser: bool,
) -> None:
    """Run the sample city Kyzylorda: simulated buses over real protocols, boards and a live map.

    Everything is in the data folder (default .data/demo); nothing is reached from outside this machine. Stop it with
    Ctrl-C, start it again and it goes on.
    """
    reading = chosen.read(
        {
            "demo.speed": speed,
            "demo.buses": buses,
            "web.port": port,
            "demo.start": start,
            "demo.seed": seed,
            "demo.passengers": passengers,
        }
    )
    steps = Steps(console())

    claims = preparations.PortClaims()

    async def prepare(settings: Settings, pool: asyncpg.Pool, steps: Steps) -> Settings:
        return await _prepare(reading, settings, pool, steps, claims)

    def announce(in_force: Settings, ports: Mapping[str, int]) -> None:
        address = f"http://{in_force.web.host}:{ports['web']}/"
        steps.console.print(f"\n  [bold]{address}[/]   (stop with Ctrl-C)\n")
        if "kaspi" in ports:
            steps.console.print(f"  http://{HERE[0]}:{ports['kaspi']}/   the demo's Kaspi, to top up a phone\n")
        if open_browser:
            _open(address)

    settings = reading.settings
    if _is_default(reading, "data_folder"):
        settings = msgspec.structs.replace(settings, data_folder=settings.data_folder / "demo")
    planned = (SMS_CENTRE, *CITY, DEMO_BANKS, SIMULATOR)
    run_system(settings, steps=steps, announce=announce, prepare=prepare, planned=planned)


async def _prepare(
    reading: Reading, settings: Settings, pool: asyncpg.Pool, steps: Steps, claims: preparations.PortClaims
) -> Settings:
    """Make the feed, set the clock, register the buses, find ports."""
    folder = preparations.folder_of(settings)
    replace = msgspec.structs.replace
    with steps.step("sample city"):
        if settings.gtfs.feed is None:
            feed = await asyncio.to_thread(preparations.build_sample_feed, folder)
            settings = replace(settings, gtfs=replace(settings.gtfs, feed=feed))
        network = await open_network(settings)
    clock = preparations.clock_for(settings, network, rate=settings.demo.speed, kept=folder / "clock.json")
    settings = replace(settings, clock=clock)
    preparations.write_settings(folder / "settings.toml", settings)
    with steps.step("devices"):
        await preparations.forget_the_future(settings)
        kept = folder / "devices.json"
        known = preparations.read_keys(kept)
        keys = await preparations.register_devices(pool, vehicle_ids(settings.demo.buses), known)
        preparations.write_keys(kept, keys)
    if not _has_fares(settings):
        settings = replace(settings, demo=replace(settings.demo, passengers=0.0))
    if settings.demo.passengers:
        with steps.step("passengers"):
            buses = vehicle_ids(settings.demo.buses)[:-1]
            await prepare_fares(settings, pool, buses, now_ms=SystemClock(settings.clock_anchor).now_ms())
    settings = _with_free_ports(reading, settings, claims)
    if settings.demo.passengers:
        settings = prepare_sms(settings, folder / "sms-gateways.toml")
    if settings.banks == BanksSection():
        settings = replace(settings, banks=_demo_banks(settings, folder / "banks.json", claims))
    return settings


def _demo_banks(settings: Settings, kept: Path, claims: preparations.PortClaims) -> BanksSection:
    """Return the demo's own banks, which find the page of the passengers and lead back to it."""
    phone = settings.phone
    if phone.host not in HERE:  # secrets would cross a network in the clear, which the adapters refuse
        return settings.banks
    address = f"http://{HERE[0]}:{phone.port}"
    return demo_banks(kept, host=HERE[0], hooks_url=address, return_url=f"{address}/phone/", claims=claims)


def _has_fares(settings: Settings) -> bool:
    """Say whether the feed has fares that can be used; the fare role says what is wrong with them."""
    try:
        return settings.gtfs.feed is not None and bool(read_city_fares(settings.gtfs.feed))
    except (NoFaresError, FaresError):
        return False


def _with_free_ports(reading: Reading, settings: Settings, claims: preparations.PortClaims) -> Settings:
    """Return ``settings`` with any free port where a default one is taken by another program or another demo."""
    replace = msgspec.structs.replace
    intake, web = settings.intake, settings.web
    ports = {
        name: claims.free_or(port, intake.host)
        for name, port in settings.for_intake.ports.items()
        if _is_default(reading, f"intake.ports.{name}")
    }
    if _is_default(reading, "web.port"):
        web = replace(web, port=claims.free_or(web.port, web.host))
    fare = settings.fare
    if _is_default(reading, "fare.port"):
        fare = replace(fare, port=claims.free_or(fare.port, fare.host))
    sms = settings.sms
    if _is_default(reading, "sms.port"):
        sms = replace(sms, port=claims.free_or(sms.port, sms.host))
    demo = replace(
        settings.demo,
        **{
            name: claims.free_or(getattr(settings.demo, name), sms.host)
            for name in ("sms_port", "smpp_port")
            if _is_default(reading, f"demo.{name}")
        },
    )
    phone = settings.phone
    if _is_default(reading, "phone.port"):
        phone = replace(phone, port=claims.some_port(phone.port, phone.host))  # banks are told, before it is had
    phone = replace(
        phone, code_operator=phone.code_operator or KCELL, code_from=phone.code_from or sms.short_codes.split()[0]
    )
    intake = replace(intake, ports=replace(intake.ports, **ports))
    return replace(settings, intake=intake, web=web, fare=fare, phone=phone, sms=sms, demo=demo)


def _is_default(reading: Reading, name: str) -> bool:
    return any(one.key.name == name and one.source == "default" for one in reading.in_force)


def _open(address: str) -> None:
    try:
        webbrowser.get()
    except webbrowser.Error:
        return  # no browser here; the address is printed
    webbrowser.open(address)


COMMAND: Final = demo
