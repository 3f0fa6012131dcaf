"""``ayaldama people``: who may sign in to the pages of money, and as what."""

import asyncio
import base64
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg
import click
from rich.table import Table

from ayaldama.commands._base import EXIT_UNAVAILABLE, EXIT_USAGE, Chosen, console, fail
from ayaldama.database import open_database
from ayaldama.fares import city_key_path, open_people
from commons.clock import wall_ms
from fare.model import CarrierId
from fare.people import Person, PersonName, Role, authenticator_link
from fare.sign_in import hash_of_password
from fare.store.city_key import CityKeyError, open_city_key
from fare.store.postgres_people import PostgresPeople

TOTP_BYTES: Final = 20  # RFC 4226, 4: 160 bits

Result = TypeVar("Result")


@click.group("people")
def people() -> None:
    """Say who may sign in, and as what. Roles are given once; for another role add another name."""


@people.command("add")
@click.argument("name")
@click.argument("role", type=click.Choice([role.value for role in Role]))
@click.option("--carrier", default="", help="agency_id of the carrier whose statements a person of role carrier sees.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_obj
def add(chosen: Chosen, name: str, role: str, carrier: str, password_stdin: bool) -> None:
    """Add the person NAME with a ROLE; asks for a password of at least 12 characters."""
    try:
        person = Person(name=PersonName(name), role=Role(role), carrier_id=CarrierId(carrier) if carrier else None)
        kept = hash_of_password(_password(from_stdin=password_stdin))
    except ValueError as error:
        fail(str(error), EXIT_USAGE)
    if not _with_people(chosen, lambda found: found.add(person, kept, wall_ms())):
        fail(f"there is a person {name} already; see `ayaldama people list`")


@people.command("list")
@click.pass_obj
def list_all(chosen: Chosen) -> None:
    """List all people and what they are."""
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "role", "carrier", "one-time codes", "state"):
        table.add_column(heading)
    for known in _with_people(chosen, lambda found: found.everybody()):
        codes = "asked for" if known.sealed_seed else "-"
        state = "[red]revoked[/]" if known.revoked else "on"
        table.add_row(known.person.name, known.person.role, known.person.carrier_id or "-", codes, state)
    console().print(table)


@people.command("revoke")
@click.argument("name")
@click.pass_obj
def revoke(chosen: Chosen, name: str) -> None:
    """Let NAME in no more, and end their sessions at once. The name stays taken."""
    if not _with_people(chosen, lambda found: found.revoke(PersonName(name), wall_ms())):
        fail(f"there is no person {name}; see `ayaldama people list`")


@people.command("totp")
@click.argument("name")
@click.option("--off", is_flag=True, help="Ask for no one-time codes any more, as after a lost phone.")
@click.pass_obj
def totp(chosen: Chosen, name: str, off: bool) -> None:
    """Ask NAME for one-time codes; prints the link for an authenticator app, now and never again."""
    secret = None if off else secrets.token_bytes(TOTP_BYTES)
    if not _with_people(chosen, lambda found: found.ask_codes(PersonName(name), secret, wall_ms())):
        fail(f"there is no person {name}; see `ayaldama people list`")
    if secret is not None:
        click.echo(authenticator_link(PersonName(name), base64.b32encode(secret).decode(), "Ayaldama"))


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def _with_people(chosen: Chosen, act: Callable[[PostgresPeople], Awaitable[Result]]) -> Result:
    settings = chosen.read().settings

    async def run() -> Result:
        async with open_database(settings) as pool:
            return await act(await open_people(pool, open_city_key(city_key_path(settings))))

    try:
        return asyncio.run(run())
    except CityKeyError as error:
        fail(str(error))
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database does not answer: {error}", EXIT_UNAVAILABLE)


COMMAND: Final = people
