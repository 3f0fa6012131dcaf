"""``ayaldama ledger``: whether the books are whole, how accounts stand, what moved on one of them."""

import asyncio
import datetime as dt
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg
import click
from rich.table import Table

from ayaldama.commands._base import EXIT_UNAVAILABLE, EXIT_USAGE, Chosen, console, fail
from ayaldama.commands._city import shown, zone_if_known
from ayaldama.database import open_database
from ayaldama.money import NoTariffError
from fare.ledger.accounts import CHART, rule_of
from fare.ledger.audit import Audit, statement, trial_balance
from fare.model import AccountCode
from fare.store.ledger_books import balances_tiyn, moves_of
from fare.store.ledger_books import verify as verify_books

FINDINGS_SHOWN: Final = 50

Result = TypeVar("Result")


@click.group("ledger")
def ledger() -> None:
    """Read the books of money: audit, trial balance, statements. Nothing is changed.

    Amounts are tenge; each account is shown from the side on which its kind grows.
    """


@ledger.command("verify")
@click.option(
    "--noted",
    metavar="NUMBER:HASH",
    multiple=True,
    help="A line that verify printed before and that was kept elsewhere: it must still be so.",
)
@click.pass_obj
def verify(chosen: Chosen, noted: tuple[str, ...]) -> None:
    """Read every journal: the chain, all balances and holds derived anew, the trial balance.

    Prints the last journal's number and hash: note them outside of this system, for --noted. Exit status 1 if
    anything is found.
    """
    hashes = dict(_noted(line) for line in noted)

    async def audit(pool: asyncpg.Pool) -> Audit:
        with console().status("reading journals") as status:
            return await verify_books(
                pool, noted=hashes, progress=lambda number: status.update(f"reading journals: {number}")
            )

    done = _in_database(chosen, audit)
    click.echo(f"{done.number}:{done.head.hex()}")
    for finding in done.findings[:FINDINGS_SHOWN]:
        click.echo(f"{finding.fault}: {finding.where}", err=True)
    if done.findings:
        fail(f"the books are not whole: {len(done.findings)} findings")
    click.echo(f"{done.number} journals, whole", err=True)


@ledger.command("balance")
@click.pass_obj
def balance(chosen: Chosen) -> None:
    """Show the trial balance: accounts by kind, debits and credits. Exit status 1 if they differ."""
    lines = trial_balance(_in_database(chosen, balances_tiyn))
    table = Table(box=None, pad_edge=False)
    table.add_column("kind")
    for heading in ("accounts", "debit", "credit"):
        table.add_column(heading, justify="right")
    table.add_column("what it is")
    for line in lines:
        row = (str(line.accounts), tenge(line.debit_tiyn), tenge(line.credit_tiyn), CHART[line.kind].meaning)
        table.add_row(line.kind, *row)
    debit_tiyn, credit_tiyn = sum(line.debit_tiyn for line in lines), sum(line.credit_tiyn for line in lines)
    table.add_row("all", str(sum(line.accounts for line in lines)), tenge(debit_tiyn), tenge(credit_tiyn), "")
    console().print(table)
    if debit_tiyn != credit_tiyn:
        fail(f"debits and credits differ by {tenge(debit_tiyn - credit_tiyn)}")


@ledger.command("statement")
@click.argument("account")
@click.pass_obj
def show_statement(chosen: Chosen, account: str) -> None:
    """Show what moved on ACCOUNT, such as wallet:6f… or carrier:k1, in the order of the books.

    Times are the city's, or UTC with a Z where no feed says its zone.
    """
    code = AccountCode(account)
    if rule_of(code) is None:
        fail(f"the chart has no account {account!r}; kinds are {', '.join(CHART)}", EXIT_USAGE)
    try:
        zone = zone_if_known(chosen.read().settings)
    except NoTariffError:  # the books can be read without a feed
        zone = dt.UTC
    table = Table(box=None, pad_edge=False)
    for heading in ("journal", "occurred", "kind", "key"):
        table.add_column(heading)
    for heading in ("amount", "balance"):
        table.add_column(heading, justify="right")
    for line in statement(code, 0, _in_database(chosen, lambda pool: moves_of(pool, code))):
        move = line.move
        row = (str(move.number), shown(move.occurred_ms, zone), move.kind, move.key)
        table.add_row(*row, tenge(line.grown_tiyn), tenge(line.standing_tiyn))
    console().print(table)


def tenge(tiyn: int) -> str:
    """Return an amount as people write it: ``-1 234.50``."""
    whole, rest = divmod(abs(tiyn), 100)
    return f"{'-' if tiyn < 0 else ''}{whole:,}.{rest:02d}".replace(",", " ")


def _noted(line: str) -> tuple[int, bytes]:
    found = re.fullmatch(r"(\d+):([0-9a-f]{64})", line)
    if found is None:
        fail(
            f"--noted: {line!r} is not a journal number and a hash, as `ayaldama ledger verify` prints them", EXIT_USAGE
        )
    return int(found[1]), bytes.fromhex(found[2])


def _in_database(chosen: Chosen, act: Callable[[asyncpg.Pool], Awaitable[Result]]) -> Result:
    settings = chosen.read().settings

    async def run() -> Result:
        async with open_database(settings) as pool:
            return await act(pool)

    try:
        return asyncio.run(run())
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database does not answer: {error}", EXIT_UNAVAILABLE)


COMMAND: Final = ledger
