"""``ayaldama settle``: close a service day, and say what each carrier is owed."""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import asyncpg
import click
from rich.table import Table

from ayaldama.commands._base import EXIT_UNAVAILABLE, EXIT_USAGE, Chosen, console, fail
from ayaldama.commands._city import city_ms
from ayaldama.commands.ledger import tenge
from ayaldama.money import CityMoney, NoTariffError, open_money
from commons.texts import LANGUAGES, Language
from fare.model import CarrierId
from fare.settlement.closing import Closing
from fare.settlement_service import Closed
from fare.store.postgres_people import COMMAND as WHO
from fare.store.postgres_settlement import StoredStatement

SAID: Final[Mapping[Closing, str]] = {
    Closing.OUT_OF_ORDER: "a later day is closed; rides of {day} are on its statements, as late",
    Closing.NOT_OVER: "{day} is not over",
    Closing.BOOKS_DIFFER: "{count} rides of {day} cost otherwise than posted: the tariff or a profile has changed; "
    "recompute first",
}


@click.command("settle")
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]))
@click.option("--carrier", default="", help="Show (and pay out) this agency_id only; a day is closed for all.")
@click.option(
    "--pdf", "folder", type=click.Path(file_okay=False, path_type=Path), help="Folder for statements on paper."
)
@click.option("--language", type=click.Choice(LANGUAGES), default="kk", show_default=True, help="Of the paper.")
@click.option("--pay", is_flag=True, help="Book that what is shown was paid through the bank.")
@click.pass_obj
def settle(chosen: Chosen, day: dt.datetime, carrier: str, folder: Path | None, language: Language, pay: bool) -> None:
    """Close the service DAY (YYYY-MM-DD) for all carriers; a closed day is shown again.

    Amnesties are paid before. Exit status 1 if the day cannot be closed; the message says why.
    """
    settings = chosen.read().settings
    date = day.date()

    async def run() -> tuple[Closed, list[StoredStatement]]:
        async with open_money(settings) as money:
            await money.refunds.pay_amnesties(now_ms=city_ms(settings))
            closed = await money.settlement.close(date, who=WHO, now_ms=city_ms(settings))
            carriers = {one.statement.carrier_id for one in closed.statements}
            if carrier:
                carriers &= {CarrierId(carrier)}
            if pay:
                for one in sorted(carriers):
                    await money.settlement.pay_out(date, one, who=WHO, now_ms=city_ms(settings))
            shown = [one for one in await money.settlement.statements(date) if one.statement.carrier_id in carriers]
            if folder is not None:
                _print(money, shown, folder, language)
            return closed, shown

    try:
        closed, shown = asyncio.run(run())
    except NoTariffError as error:
        fail(str(error), EXIT_USAGE)
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database does not answer: {error}", EXIT_UNAVAILABLE)
    if closed.outcome in SAID:
        fail(SAID[closed.outcome].format(day=date, count=closed.differing))
    console().print(_table(shown))
    if carrier and not shown:
        fail(f"there is no statement of carrier {carrier} on {date}")


def _table(shown: Sequence[StoredStatement]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("carrier", "part", "state"):
        table.add_column(heading)
    for heading in ("rides", "charged", "cash", "subsidies", "refunds", "commission", "payable"):
        table.add_column(heading, justify="right")
    for one in shown:
        of = one.statement
        amounts = (of.charged_tiyn, of.cash_tiyn, of.subsidy_tiyn, of.refunds_tiyn, of.commission_tiyn, of.payable_tiyn)
        state = "paid" if one.paid else "open"
        table.add_row(of.carrier_id, one.part, state, str(of.rides), *map(tenge, amounts))
    return table


def _print(money: CityMoney, shown: Sequence[StoredStatement], folder: Path, language: Language) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for place, one in enumerate(shown, start=1):
        of = one.statement
        file = folder / f"{of.service_date}-{place}-{one.part}.pdf"  # a carrier's id may be no name for a file
        file.write_bytes(money.paper(one, language))
        click.echo(f"{of.carrier_id}: {file}", err=True)


COMMAND: Final = settle
