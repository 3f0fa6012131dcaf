"""``ayaldama fares medium``: the counter where riders pay in, prove a concession, buy a pass, report a loss."""

import asyncio
import datetime as dt
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import asyncpg
import click

from ayaldama.commands._base import EXIT_UNAVAILABLE, Chosen, fail
from ayaldama.commands._city import city_ms
from ayaldama.commands.ledger import tenge
from ayaldama.database import open_database
from ayaldama.fares import NoFaresError, read_city_fares
from ayaldama.settings import Settings
from fare.inspection.cases import PersonId, Role
from fare.model import MediumId, Profile, RiderCategory
from fare.outcomes import Posting
from fare.store.postgres_inspection import set_pin
from fare.store.postgres_media import PostgresMedia
from fare.tariff.model import Tariff
from fare.tariff.rights import concession, pass_held
from gtfs_data.fares import FaresError
from gtfs_data.read import FeedUnreadableError

TIYN: Final = 100

Result = TypeVar("Result")


class _MediumId(click.ParamType[MediumId]):
    """32 hexadecimal digits: the keyed hash of what a medium calls itself."""

    name = "medium"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> MediumId:
        """Return the id; a card number is none."""
        if len(value) != 32 or not set(value) <= set("0123456789abcdef"):
            self.fail("a medium is 32 hexadecimal digits, as taps carry it", param, ctx)
        return MediumId(value)


@click.group("medium")
def medium() -> None:
    """Keep who rides on a medium: money, concessions, passes, blocks. MEDIUM is its id, 32 hexadecimal digits."""


@medium.command("show")
@click.argument("medium_id", metavar="MEDIUM", type=_MediumId())
@click.pass_obj
def show(chosen: Chosen, medium_id: MediumId) -> None:
    """Show what MEDIUM has: balance (less what it owes), rights, passes."""

    async def read(media: PostgresMedia) -> tuple[int, Profile, bool]:
        balance_tiyn = (await media.balances_tiyn([medium_id])).get(medium_id, 0)
        profile = (await media.profiles([medium_id])).get(medium_id, Profile())
        return balance_tiyn, profile, medium_id in await media.blocked()

    balance_tiyn, profile, blocked = _with_media(chosen.read().settings, read)
    click.echo(f"balance {tenge(balance_tiyn)}" + (", blocked" if blocked else ""))
    for right in profile.concessions:
        click.echo(f"{right.category} from {right.from_date} until {right.until_date or 'ever'}, {right.evidence}")
    for held in profile.passes:
        until = dt.datetime.fromtimestamp(held.until_ms / 1_000, tz=dt.UTC)
        click.echo(f"pass {held.product_id} until {until:%Y-%m-%d %H:%M} UTC")


@medium.command("top-up")
@click.argument("medium_id", metavar="MEDIUM", type=_MediumId())
@click.argument("amount", type=click.IntRange(1, 1_000_000), metavar="TENGE")
@click.option("--desk", default="counter", show_default=True, help="Which sales point takes the cash.")
@click.option("--key", default="", help="Number of the receipt: the same one pays in once. Default: a new one.")
@click.pass_obj
def top_up(chosen: Chosen, medium_id: MediumId, amount: int, desk: str, key: str) -> None:
    """Take TENGE in cash for MEDIUM; what it owes is paid first, and it leaves the deny list."""
    settings = chosen.read().settings
    number = key or secrets.token_hex(8)

    async def pay(media: PostgresMedia) -> tuple[Posting, int]:
        posting = await media.top_up(medium_id, amount * TIYN, desk=desk, key=number, occurred_ms=city_ms(settings))
        return posting, (await media.balances_tiyn([medium_id])).get(medium_id, 0)

    posting, balance_tiyn = _with_media(settings, pay)
    if posting is not Posting.POSTED:
        fail(f"nothing was taken: {posting} (receipt {number})")
    click.echo(f"receipt {number}: balance {tenge(balance_tiyn)}")


@medium.command("concession")
@click.argument("medium_id", metavar="MEDIUM", type=_MediumId())
@click.argument("category")
@click.option("--evidence", required=True, help="Number of the paper that was shown; never the paper.")
@click.option("--born", type=click.DateTime(["%Y-%m-%d"]), help="Birthday, where the right ends at an age.")
@click.pass_obj
def grant(chosen: Chosen, medium_id: MediumId, category: str, evidence: str, born: dt.datetime | None) -> None:
    """Let MEDIUM ride as CATEGORY of the tariff, from today."""
    settings = chosen.read().settings
    tariff, now_ms = _tariff(settings), city_ms(settings)
    try:
        right = concession(
            RiderCategory(category),
            tariff.at(now_ms)[0].date,
            tariff,
            born=born.date() if born else None,
            evidence=evidence,
        )
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="CATEGORY") from error
    _with_media(settings, lambda media: media.grant([medium_id], right, now_ms))
    click.echo(f"{category} from {right.from_date} until {right.until_date or 'ever'}")


@medium.command("pass")
@click.argument("medium_id", metavar="MEDIUM", type=_MediumId())
@click.argument("product_id", metavar="PRODUCT")
@click.pass_obj
def give_pass(chosen: Chosen, medium_id: MediumId, product_id: str) -> None:
    """Give MEDIUM the pass PRODUCT of the tariff, from now. Its sale is booked elsewhere."""
    settings = chosen.read().settings
    now_ms = city_ms(settings)
    try:
        held = pass_held(product_id, now_ms, _tariff(settings))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="PRODUCT") from error
    _with_media(settings, lambda media: media.give_pass(medium_id, held, now_ms))
    until = dt.datetime.fromtimestamp(held.until_ms / 1_000, tz=dt.UTC)
    click.echo(f"pass {product_id} until {until:%Y-%m-%d %H:%M} UTC")


@medium.command("block")
@click.argument("medium_id", metavar="MEDIUM", type=_MediumId())
@click.option("--off", is_flag=True, help="Unblock it.")
@click.pass_obj
def block(chosen: Chosen, medium_id: MediumId, off: bool) -> None:
    """Put MEDIUM on the deny list (lost, stolen)."""
    settings = chosen.read().settings
    _with_media(settings, lambda media: media.block([medium_id], city_ms(settings), blocked=not off))
    click.echo("not blocked" if off else "blocked")


@click.command("inspector")
@click.argument("number")
@click.option(
    "--role",
    type=click.Choice([Role.INSPECTOR.value, Role.OFFICER.value]),
    default=Role.INSPECTOR.value,
    show_default=True,
    help="An officer decides appeals.",
)
@click.password_option("--pin", prompt="PIN", help="Asked for when it is not given.")
@click.pass_obj
def inspector(chosen: Chosen, number: str, role: str, pin: str) -> None:
    """Let the inspector NUMBER sign in with a PIN; an earlier PIN and its sessions end."""
    try:
        _in_database(chosen.read().settings, lambda pool: set_pin(pool, PersonId(number), Role(role), pin))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--pin") from error
    click.echo(f"{role} {number} may sign in")


def _tariff(settings: Settings) -> Tariff:
    feed: Path | None = settings.gtfs.feed
    if feed is None:
        fail("gtfs.feed is not set: its fares say what there is")
    try:
        return read_city_fares(feed).tariff
    except (NoFaresError, FaresError, FeedUnreadableError) as error:
        fail(str(error))


def _with_media(settings: Settings, act: Callable[[PostgresMedia], Awaitable[Result]]) -> Result:
    return _in_database(settings, lambda pool: act(PostgresMedia(pool)))


def _in_database(settings: Settings, act: Callable[[asyncpg.Pool], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with open_database(settings) as pool:
            return await act(pool)

    try:
        return asyncio.run(run())
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database does not answer: {error}", EXIT_UNAVAILABLE)
