"""``ayaldama serve``: the whole system, or single roles of it."""

import sys
from collections.abc import Mapping
from typing import Final

import click

from ayaldama.commands._base import EXIT_USAGE, Chosen, console, fail
from ayaldama.roles import DEMO, ROLES
from ayaldama.settings import Settings
from ayaldama.system import run_system
from ayaldama.terminal import Steps
from ayaldama.worker import run_roles

SERVED: Final = tuple(role for role in ROLES if role not in DEMO)


@click.command("serve")
@click.argument("roles", nargs=-1, type=click.Choice(SERVED), metavar="[ROLE]...")
@click.pass_obj
def serve(chosen: Chosen, roles: tuple[str, ...]) -> None:
    """Run the city: all of it, or only the ROLEs named.

    Without ROLE, everything runs on this machine: embedded servers (unless settings name others), intake, tracking,
    fare, phone, sms, boards and dispatch, each process watched and started again if it dies.

    \b
    With ROLEs, only those run, in this process, on the servers of the settings redis_url and postgres_url:
      intake    takes positions from trackers
      tracking  follows vehicles and predicts arrivals (one per city)
      fare      serves validators and inspectors, keeps the books
      phone     serves the page on which passengers pay
      sms       answers riders' messages through mobile operators
      boards    serves stop boards
      dispatch  serves the live map

    The first Ctrl-C (or SIGTERM) ends everything in order, a second one at once.
    """  # noqa: D301 - \\b is click's mark for lines that stay as they are
    settings = chosen.read().settings
    if roles:
        _serve_alone(settings, frozenset(roles))
    steps = Steps(console())

    def announce(in_force: Settings, ports: Mapping[str, int]) -> None:
        steps.console.print(f"\n  [bold]http://{in_force.web.host}:{ports['web']}/[/]\n")

    run_system(settings, steps=steps, announce=announce)


def _serve_alone(settings: Settings, roles: frozenset[str]) -> None:
    missing = [name for name in ("redis_url", "postgres_url") if not getattr(settings, name)]
    if missing:
        fail(
            f"single roles need servers that others reach too: set {' and '.join(missing)}; "
            "`ayaldama serve` without a role starts embedded ones",
            EXIT_USAGE,
        )

    def ready(ports: Mapping[str, int]) -> None:
        click.echo(f"ready: {', '.join(f'{name} on port {port}' for name, port in ports.items()) or 'no port'}")

    sys.exit(run_roles("-".join(sorted(roles)), roles, settings, sockets=None, ready=ready))


COMMAND: Final = serve
