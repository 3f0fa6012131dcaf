"""``ayaldama reconcile``: the file of an acquirer, operator or bank beside our account."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg
import click
from rich.table import Table

from ayaldama.commands._base import EXIT_UNAVAILABLE, EXIT_USAGE, Chosen, console, fail
from ayaldama.commands._city import city_ms, city_zone
from ayaldama.commands.ledger import tenge
from ayaldama.database import open_database
from fare.model import AccountCode
from fare.reconciliation_service import SettlementFile, compare
from fare.settlement.reconcile import FileColumns, Finding, Reconciled
from fare.store.postgres_people import COMMAND as WHO

SHOWN_MAX: Final = 100


@click.command("reconcile")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--account", required=True, help="Ours, such as acquirer:main.")
@click.option("--from", "first", required=True, type=click.DateTime(["%Y-%m-%d"]), help="First day.")
@click.option("--until", "last", required=True, type=click.DateTime(["%Y-%m-%d"]), help="Last day, included.")
@click.option("--reference", default="reference", show_default=True, help="Column of FILE with what both know.")
@click.option("--amount", default="amount", show_default=True, help="Column of FILE with the amount, such as 90.50.")
@click.option("--delimiter", default=";", show_default=True, help="Between columns.")
@click.pass_obj
def reconcile(
    chosen: Chosen,
    file: Path,
    account: str,
    first: dt.datetime,
    last: dt.datetime,
    reference: str,
    amount: str,
    delimiter: str,
) -> None:
    """Compare FILE (CSV) with what moved on an account; keeps and shows what is not in both alike.

    Days are the city's, or of UTC where gtfs.feed is not set. Exit status 1 if anything is not matched.
    """
    settings = chosen.read().settings
    columns = FileColumns(reference=reference, amount=amount, delimiter=delimiter)
    given = SettlementFile(name=file.name, content=file.read_bytes(), columns=columns)
    zone = city_zone(settings)
    from_ms, until_ms = (
        round(midnight.replace(tzinfo=zone).timestamp() * 1_000) for midnight in (first, last + dt.timedelta(days=1))
    )

    async def run() -> tuple[int, Sequence[Reconciled]]:
        async with open_database(settings) as pool:
            now_ms = city_ms(settings)
            return await compare(pool, AccountCode(account), given, from_ms, until_ms, who=WHO, now_ms=now_ms)

    try:
        number, found = asyncio.run(run())
    except ValueError as error:
        fail(str(error), EXIT_USAGE)
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database does not answer: {error}", EXIT_UNAVAILABLE)
    unmatched = [one for one in found if one.finding is not Finding.MATCHED]
    table = Table(box=None, pad_edge=False)
    for heading in ("finding", "reference", "lines"):
        table.add_column(heading)
    for heading in ("ours", "theirs"):
        table.add_column(heading, justify="right")
    for one in unmatched[:SHOWN_MAX]:
        rows = " ".join(map(str, one.rows))
        table.add_row(one.finding, one.reference, rows, tenge(one.ours_tiyn), tenge(one.theirs_tiyn))
    console().print(table)
    counted = Counter(one.finding for one in found)
    sums = ", ".join(f"{finding} {counted[finding]}" for finding in Finding if counted[finding])
    click.echo(f"comparison {number}: {sums or 'nothing on either side'}", err=True)
    if unmatched:
        fail(f"{len(unmatched)} of {len(found)} references do not match")


COMMAND: Final = reconcile
