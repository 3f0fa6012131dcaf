"""``ayaldama refund``: ask for money back. What needs a second person is approved on the accountant's page."""

import asyncio
import datetime as dt
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import asyncpg
import click

from ayaldama.commands._base import EXIT_UNAVAILABLE, EXIT_USAGE, Chosen, fail
from ayaldama.commands._city import city_ms
from ayaldama.money import CityMoney, NoTariffError, open_money
from fare.refund_service import RefundAnswer, RefundAsked
from fare.settlement.model import RefundReason
from fare.settlement.refunds import AmnestyWindow, RefundOutcome
from fare.store.postgres_people import COMMAND as WHO

GOOD: Final = frozenset({RefundOutcome.GRANTED, RefundOutcome.REPEATED})
REFUSED: Final[Mapping[RefundOutcome, str]] = {
    RefundOutcome.KEY_REUSED: "--key names another refund",
    RefundOutcome.UNKNOWN_RIDE: "no ride has this key",
    RefundOutcome.NOT_POSITIVE: "the ride has cost nothing, or all of it went back before",
    RefundOutcome.EXCEEDS_PAID: "--amount is more than was paid and did not go back before",
}

Result = TypeVar("Result")


@click.group("refund")
def refund() -> None:
    """Give money back: one ride, many, or all of an hour in which validators failed.

    Above the setting settlement.refund_alone, and for every amnesty, somebody signed in has to approve on the page.
    """


@refund.command("ride")
@click.argument("ride")
@click.option("--amount", type=click.IntRange(min=1), help="Tiyn. Default: all that the ride has cost.")
@click.option("--why", required=True, help="What a reader of the books should know.")
@click.option(
    "--key", default="", help="The same key is the same refund; repeat a command with it. Default: a new one."
)
@click.option(
    "--reason",
    type=click.Choice([RefundReason.COMPLAINT.value, RefundReason.CHARGEBACK.value]),
    default=RefundReason.COMPLAINT.value,
    show_default=True,
    help="A chargeback was taken by the bank already.",
)
@click.pass_obj
def ride(chosen: Chosen, ride: str, amount: int | None, why: str, key: str, reason: str) -> None:
    """Give back what RIDE (device:sequence of its tap) has cost. Exit status 1 if it is refused."""
    key = key or str(uuid.uuid4())
    asked = RefundAsked(key=key, ride_key=ride, amount_tiyn=amount, reason=RefundReason(reason), why=why)
    answer = _with_money(chosen, lambda money, now_ms: money.refunds.ask(asked, who=WHO, now_ms=now_ms))
    click.echo(_said(key, ride, answer))
    if answer.outcome not in GOOD:
        fail(f"refused: {answer.outcome}: {REFUSED[answer.outcome]}")


@refund.command("bulk")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--why", required=True, help="What a reader of the books should know.")
@click.option("--key", required=True, help="Names the list: repeated with the same key nobody is paid twice.")
@click.pass_obj
def bulk(chosen: Chosen, file: Path, why: str, key: str) -> None:
    """Give back all rides of FILE, one device:sequence a line. Exit status 1 if any is refused."""
    rides = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]

    async def give(money: CityMoney, now_ms: int) -> int:
        refused = 0
        for one in rides:
            asked = RefundAsked(key=f"{key}/{one}", ride_key=one, why=why)
            answer = await money.refunds.ask(asked, who=WHO, now_ms=now_ms)
            refused += answer.outcome not in GOOD
            click.echo(_said(asked.key, one, answer))
        return refused

    refused = _with_money(chosen, give)
    if refused:
        fail(f"{refused} of {len(rides)} rides were refused")


@refund.command("amnesty")
@click.argument("name")
@click.option("--from", "begin", required=True, type=click.DateTime(), help="City time.")
@click.option("--until", "end", required=True, type=click.DateTime(), help="City time, not included.")
@click.option("--vehicle", "vehicles", multiple=True, help="vehicle_id; may be repeated.")
@click.option("--route", "routes", multiple=True, help="route_id; may be repeated.")
@click.option("--why", required=True, help="What a reader of the books should know.")
@click.pass_obj
def amnesty(
    chosen: Chosen,
    name: str,
    begin: dt.datetime,
    end: dt.datetime,
    vehicles: tuple[str, ...],
    routes: tuple[str, ...],
    why: str,
) -> None:
    """Ask that rides on these vehicles and lines within these hours cost nothing, under the NAME of the amnesty."""

    async def ask(money: CityMoney, now_ms: int) -> bool:
        zone = money.tariff.zone
        window = AmnestyWindow(
            amnesty_id=name,
            from_ms=round(begin.replace(tzinfo=zone).timestamp() * 1_000),
            until_ms=round(end.replace(tzinfo=zone).timestamp() * 1_000),
            vehicle_ids=frozenset(vehicles),
            route_ids=frozenset(routes),
            why=why,
        )
        return await money.refunds.ask_amnesty(window, who=WHO, now_ms=now_ms)

    if not _with_money(chosen, ask):
        fail(f"there is an amnesty {name} already")
    click.echo("waits for approval on the accountant's page", err=True)


@refund.command("pay")
@click.pass_obj
def pay(chosen: Chosen) -> None:
    """Give back rides under granted amnesties that were not given back yet; prints how many. `settle` does it too."""
    click.echo(_with_money(chosen, lambda money, now_ms: money.refunds.pay_amnesties(now_ms=now_ms)))


def _said(key: str, ride_key: str, answer: RefundAnswer) -> str:
    return f"{ride_key} {answer.outcome} {answer.state or '-'} {answer.amount_tiyn} tiyn, key {key}"


def _with_money(chosen: Chosen, act: Callable[[CityMoney, int], Awaitable[Result]]) -> Result:
    settings = chosen.read().settings

    async def run() -> Result:
        async with open_money(settings) as money:
            return await act(money, city_ms(settings))

    try:
        return asyncio.run(run())
    except (NoTariffError, ValueError) as error:
        fail(str(error), EXIT_USAGE)
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database does not answer: {error}", EXIT_UNAVAILABLE)


COMMAND: Final = refund
