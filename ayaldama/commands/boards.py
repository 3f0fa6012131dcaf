"""``ayaldama boards``: the fleet of stop boards."""

import asyncio
import dataclasses
import re
import webbrowser
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, get_args

import asyncpg
import click
from rich.markup import escape
from rich.table import Table

from ayaldama.addresses import pages_address
from ayaldama.commands._base import EXIT_UNAVAILABLE, EXIT_USAGE, Chosen, console, fail
from ayaldama.database import open_database
from ayaldama.roles._base import RoleError, open_network
from ayaldama.settings import Settings
from stop_display.panels import store
from stop_display.panels.model import (
    VOLUME_MAX,
    Layout,
    Panel,
    PanelConfig,
    PanelError,
    PanelLanguage,
    Theme,
    checked,
)

Result = TypeVar("Result")
Act = Callable[[asyncpg.Pool], Awaitable[Result]]

_OPTIONS: Final = (
    click.option("--stops", help="1 to 4 stop_ids, with commas; the first is in the page's address."),
    click.option("--layout", type=click.Choice(get_args(Layout)), help="How several stops share the screen."),
    click.option("--language", type=click.Choice(get_args(PanelLanguage)), help="rotate: all three in turn."),
    click.option("--volume", type=click.IntRange(0, VOLUME_MAX), help="Of speech, in per cent."),
    click.option("--hours", help="When it is on, local time, as 05:30-00:30; always: round the clock."),
    click.option("--theme", type=click.Choice(get_args(Theme)), help="Light letters on dark, or dark on light."),
    click.option("--note", help="Anything worth knowing: where it hangs, whose SIM it has."),
)

_URL: Final = click.option(
    "--url",
    metavar="URL",
    help="Where boards reach the pages (else web.public_url, or the running system of the data folder).",
)


def _configured(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


HELP: Final = """Register stop boards, say what each shows, have them reload: a running system tells them in seconds.

\b
A board opens http://HOST/panel#KEY once; from then on the server says what it is. The key is made here and
shown once; only a digest is kept. Which boards are dark, stale or wrong is on the page /boards, for people of
the role dispatcher (ayaldama people add NAME dispatcher).

\b
ayaldama boards add kiosk-4 --stops alan --language rotate --hours 05:30-00:30
ayaldama boards set kiosk-4 --theme light
ayaldama boards reload --all
"""


@click.group("boards", help=HELP)
def boards() -> None:
    """Register stop boards, say what each shows, have them reload. A running system tells them within seconds."""


@boards.command("add")
@click.argument("name")
@_configured
@_URL
@click.pass_obj
def add(chosen: Chosen, /, name: str, url: str | None, **given: object) -> None:
    """Register the board NAME and print its key and address, now and never again."""
    if not given["stops"]:
        fail("--stops: missing; name 1 to 4 stop_ids, as --stops alan,bazar", EXIT_USAGE)
    settings = chosen.read().settings
    address = _address(settings, url)
    config = _changed(PanelConfig(stops=()), given)
    _check(settings, name, config)
    key = _in_database(settings, lambda pool: store.add_panel(pool, name, config))
    click.echo(key)
    click.echo(f"open once on the board: {address}/panel#{key}", err=True)


@boards.command("list")
@click.pass_obj
def list_all(chosen: Chosen) -> None:
    """List all boards and what each shows."""
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "stops", "language", "hours", "theme", "state", "note"):
        table.add_column(heading)
    for panel in _in_database(chosen.read().settings, store.list_panels):
        config = panel.config
        state = "[red]revoked[/]" if panel.revoked else "on"
        table.add_row(
            panel.name,
            escape(",".join(config.stops)),
            config.language,
            config.hours or "always",
            config.theme,
            state,
            escape(config.note),
        )
    console().print(table)


@boards.command("show")
@click.argument("name")
@click.pass_obj
def show(chosen: Chosen, name: str) -> None:
    """Print what the board NAME is told to be."""
    panel = _found(chosen.read().settings, name)
    for field in dataclasses.fields(panel.config):
        value = getattr(panel.config, field.name)
        click.echo(f"{field.name:9} {','.join(value) if isinstance(value, tuple) else value}")
    click.echo(f"{'reload':9} asked for {panel.reload} times")
    if panel.revoked:
        click.echo("revoked")


@boards.command("set")
@click.argument("name")
@_configured
@click.pass_obj
def change(chosen: Chosen, /, name: str, **given: object) -> None:
    """Change what the board NAME shows; what is not given stays. It hears of it within seconds."""
    if all(value is None for value in given.values()):
        fail("nothing to change: give at least one option, as --theme light", EXIT_USAGE)
    settings = chosen.read().settings
    config = _changed(_found(settings, name).config, given)
    _check(settings, name, config)
    _in_database(settings, lambda pool: store.set_config(pool, name, config))


@boards.command("reload")
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="All boards that are registered.")
@click.pass_obj
def reload(chosen: Chosen, name: str | None, every: bool) -> None:
    """Have the board NAME, or all, load its page anew: at once if it is connected, else when it comes back."""
    if bool(name) == every:
        fail("give the NAME of a board, or --all", EXIT_USAGE)
    told = _in_database(chosen.read().settings, lambda pool: store.ask_reload(pool, name))
    if name and not told:
        fail(f"there is no board {name}, or it is revoked; see `ayaldama boards list`")
    click.echo(f"{told} told")


@boards.command("revoke")
@click.argument("name")
@click.pass_obj
def revoke(chosen: Chosen, name: str) -> None:
    """Let the board NAME in no more (stolen, scrapped): its key is refused at once. The name stays taken."""
    if not _in_database(chosen.read().settings, lambda pool: store.revoke(pool, name)):
        fail(f"there is no board {name}; see `ayaldama boards list`")


@boards.command("wall")
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
@_URL
@click.pass_obj
def wall(chosen: Chosen, opens: bool, url: str | None) -> None:
    """Print the address of the page that shows the boards of all stops small, for checking."""
    address = f"{_address(chosen.read().settings, url)}/boards/wall"
    click.echo(address)
    if opens:
        webbrowser.open(address)


def _changed(config: PanelConfig, given: dict[str, object]) -> PanelConfig:
    told = {name: value for name, value in given.items() if value is not None}
    if "stops" in told:
        told["stops"] = tuple(stop.strip() for stop in str(told["stops"]).split(",") if stop.strip())
    if told.get("hours") == "always":
        told["hours"] = ""
    return dataclasses.replace(config, **told)  # type: ignore[arg-type]


def _check(settings: Settings, name: str, config: PanelConfig) -> None:
    """Refuse what cannot be, stops that the feed does not have included, if there is a feed to look into."""
    try:
        network = asyncio.run(open_network(settings)) if settings.gtfs.feed is not None else None
        checked(name, config, frozenset(network.stops.ids) if network is not None else None)
    except PanelError as error:
        fail(str(error), EXIT_USAGE)
    except RoleError as error:
        fail(str(error))


def _found(settings: Settings, name: str) -> Panel:
    panel = _in_database(settings, lambda pool: store.find_panel(pool, name))
    if panel is None:
        fail(f"there is no board {name}; see `ayaldama boards list`")
    return panel


def _address(settings: Settings, url: str | None) -> str:
    if url is not None and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
        fail(
            f"--url {url}: must be the address at which boards reach the pages, such as https://boards.example.kz",
            EXIT_USAGE,
        )
    return pages_address(settings) if url is None else url.rstrip("/")


def _in_database(settings: Settings, act: Act[Result]) -> Result:
    async def run() -> Result:
        async with open_database(settings) as pool:
            return await act(pool)

    try:
        return asyncio.run(run())
    except PanelError as error:
        fail(str(error), EXIT_USAGE)
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database does not answer: {error}", EXIT_UNAVAILABLE)


COMMAND: Final = boards
