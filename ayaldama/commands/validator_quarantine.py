"""``ayaldama validator quarantined`` and ``release``: taps with impossible times, and what a person decides of them."""

import asyncio
import datetime as dt
import re
import zoneinfo
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import asyncpg
import click
from rich.markup import escape
from rich.table import Table

from ayaldama.commands._base import EXIT_UNAVAILABLE, EXIT_USAGE, Chosen, console, fail
from ayaldama.commands._city import city_zone, shown
from ayaldama.database import open_database
from ayaldama.money import NoTariffError, read_tariff
from ayaldama.settings import Settings
from commons.clock import SystemClock
from fare.model import DeviceId
from fare.store.postgres_people import COMMAND as WHO
from fare.store.postgres_releases import PostgresReleases
from fare.validator.release import Decision, Dropped, Quarantined, Release, ReleaseError, SetTo, Shifted

SECOND_MS: Final = 1_000
WIDTH: Final = 160  # characters
SEQUENCE_MAX: Final = 2**53
SEQUENCES: Final = re.compile(r"(\d{1,16})(?:-(\d{1,16}))?")
SHIFT: Final = re.compile(r"([+-]?)(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?")
MOMENTS: Final = ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")

Result = TypeVar("Result")


@click.command("quarantined")
@click.argument("device_id", metavar="[DEVICE]", default="")
@click.pass_obj
def quarantined(chosen: Chosen, device_id: str) -> None:
    """List taps that wait for a person: the time they say is more than two minutes ahead, or before 2020.

    Times are the city's, or UTC with a Z where no feed says its zone. "content" is what no validator of ours writes: it
    can only be dropped.
    """
    settings = chosen.read().settings
    zone = city_zone(settings)
    found = _in_store(settings, lambda store: store.waiting(DeviceId(device_id) if device_id else None))
    table = Table(box=None, pad_edge=False)
    for heading in ("device", "sequence", "says", "came", "medium", "outcome", "wrong"):
        table.add_column(heading)
    for one in found:
        tap = one.tap
        table.add_row(
            *(tap.device_id, str(tap.sequence), shown(tap.occurred_ms, zone), shown(one.received_ms, zone)),
            *(_printable(f"{tap.medium_kind} {tap.medium_id}".strip()), tap.outcome.value, _wrong(one)),
        )
    terminal = console()
    terminal.width = max(terminal.width, WIDTH)  # one tap, one line: also for a program that reads them
    terminal.print(table)


@click.command("release")
@click.argument("device_id", metavar="DEVICE")
@click.argument("sequences", metavar="SEQUENCE...", nargs=-1, required=True)
@click.option("--shift", metavar="SPAN", help="Add so much to the time they say: -2h15m, +20d, 0s.")
@click.option("--at", "at", type=click.DateTime(MOMENTS), help="City time of the tap; for one SEQUENCE.")
@click.option("--drop", metavar="REASON", help="Do not charge them, and say why.")
@click.option("--why", metavar="TEXT", help="How the right time is known; goes with --shift and --at.")
@click.pass_obj
def release(
    chosen: Chosen,
    device_id: str,
    sequences: tuple[str, ...],
    shift: str | None,
    at: dt.datetime | None,
    drop: str | None,
    why: str | None,
) -> None:
    """Decide about quarantined taps of DEVICE: about all of these SEQUENCEs, or about none.

    A SEQUENCE may be a stretch, as 12-40: what waits in it. Released taps are charged within seconds by the running
    system, each at the time that was set right; a decision is not taken back. Nothing before 2020 or in the future.
    """
    settings = chosen.read().settings
    stretches = [_stretch(said) for said in sequences]
    decision = _decision(settings, shift, at, drop)
    reason = _reason(drop, why)
    if at is not None and (len(stretches) > 1 or len(stretches[0]) > 1):
        fail("--at: names the time of one tap, so give one SEQUENCE; --shift is for several", EXIT_USAGE)

    async def decide(store: PostgresReleases) -> list[Release]:
        device = DeviceId(device_id)
        waiting = {one.tap.sequence for one in await store.waiting(device)}
        named = _named(stretches, waiting)
        now_ms = SystemClock(settings.clock_anchor).now_ms()
        return await store.decide(device, named, decision, now_ms, who=WHO, why=reason)

    releases = _in_store(settings, decide)
    zone = city_zone(settings)
    for one in releases:
        click.echo(f"{device_id}:{one.sequence} {'dropped' if one.at_ms is None else shown(one.at_ms, zone)}")


def shift_ms(said: str) -> int:
    """Return how long ``-2h15m`` is.

    Raises:
        ValueError: if it is no such span.
    """
    found = SHIFT.fullmatch(said.strip())
    if found is None or not any(found.groups()[1:]):
        raise ValueError(f"--shift {said}: must be days, hours, minutes and seconds with their sign, as -2h15m or +20d")
    days, hours, minutes, seconds = (int(one or 0) for one in found.groups()[1:])
    span_ms = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * SECOND_MS
    return -span_ms if found[1] == "-" else span_ms


def _decision(settings: Settings, shift: str | None, at: dt.datetime | None, drop: str | None) -> Decision:
    if sum(one is not None for one in (shift, at, drop)) != 1:
        fail("say one of --shift, --at and --drop", EXIT_USAGE)
    if at is not None:
        return SetTo(at_ms=round(at.replace(tzinfo=_zone(settings)).timestamp() * 1_000))
    if shift is None:
        return Dropped()
    try:
        return Shifted(by_ms=shift_ms(shift))
    except ValueError as error:
        fail(str(error), EXIT_USAGE)


def _reason(drop: str | None, why: str | None) -> str:
    if drop is not None:
        if why is not None:
            fail("--why: --drop has its reason already", EXIT_USAGE)
        return drop
    if why is None:
        fail("--why: say how the right time is known", EXIT_USAGE)
    return why


def _stretch(said: str) -> range:
    found = SEQUENCES.fullmatch(said)
    first, last = (int(found[1]), int(found[2] or found[1])) if found is not None else (0, 0)
    if not 1 <= first <= last <= SEQUENCE_MAX:
        fail(f"SEQUENCE {said}: must be a number of a record, as 12, or a stretch of them, as 12-40", EXIT_USAGE)
    return range(first, last + 1)


def _named(stretches: Sequence[range], waiting: set[int]) -> list[int]:
    """Return the sequences meant: single ones as they were said, of stretches those that wait."""
    named: list[int] = []
    for stretch in stretches:
        found = [stretch.start] if len(stretch) == 1 else sorted(one for one in waiting if one in stretch)
        if not found:
            raise ValueError(f"SEQUENCE {stretch.start}-{stretch.stop - 1}: nothing waits there")
        named += found
    return named


def _wrong(one: Quarantined) -> str:
    if not one.is_sound:
        return "content"
    return "ahead" if one.tap.occurred_ms > one.received_ms else "before 2020"


def _printable(text: str) -> str:
    """Return what a stolen validator may have written so that it moves no cursor and colours nothing."""
    return escape(text if text.isprintable() else ascii(text))


def _zone(settings: Settings) -> zoneinfo.ZoneInfo:
    try:
        return read_tariff(settings.gtfs.feed)[0].zone
    except NoTariffError as error:
        fail(str(error), EXIT_USAGE)


def _in_store(settings: Settings, act: Callable[[PostgresReleases], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with open_database(settings) as pool:
            return await act(PostgresReleases(pool))

    try:
        return asyncio.run(run())
    except ReleaseError as error:
        fail(f"nothing was decided: {error}")
    except ValueError as error:
        fail(str(error), EXIT_USAGE)
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database does not answer: {error}", EXIT_UNAVAILABLE)
