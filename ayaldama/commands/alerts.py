"""``ayaldama alerts``: what passengers must know, on the boards of the stops concerned within two seconds."""

import secrets
from collections.abc import Mapping
from typing import Final

import click
import msgspec
from rich.markup import escape
from rich.table import Table

from ayaldama.commands._base import EXIT_USAGE, Chosen, console, fail
from ayaldama.commands._dispatcher import (
    author_of,
    in_city,
    moment_ms,
    routes_named,
    shown,
    span_ms,
    stops_named,
    wrong,
)
from ayaldama.running_city import RunningCity
from commons.texts import LANGUAGES
from transit.notices import Alert, Cause, Effect, Informed, Period, Severity
from transit.store.redis_notices import NoticesStore

HEADER_MAX: Final = 120
TEXT_MAX: Final = 600
LENGTH_MAX_MS: Final = 366 * 86_400_000
ID_BYTES: Final = 3
INFORMED_MAX: Final = 2_000
DIM, GREEN, YELLOW = "dim", "green", "yellow"


HELP: Final = """Tell passengers what they must know: a stop that moved, a road that is closed, a day without buses.

Boards of the stops concerned show it within two seconds and take it off by themselves when its time is over.

\b
A stop has moved, until six in the evening:
  ayaldama alerts add --kk "Аялдама 50 м алға көшірілді" --ru "Остановка перенесена на 50 м вперёд" \\
      --stop 078a --effect stop_moved --until 18:00
Buses 10 and 12 are late for two hours:
  ayaldama alerts add --kk "Автобустар кешігеді" --ru "Автобусы опаздывают" \\
      --route 10 --route 12 --effect significant_delays --cause weather --for 2h
The whole city, filling every board:
  ayaldama alerts add --kk "Боран: автобустар жүрмейді" --ru "Буран: автобусы не ходят" \\
      --effect no_service --severity severe --takeover --for 6h
"""


@click.group("alerts", help=HELP)
def alerts() -> None:
    """Hold the commands."""


@alerts.command("add")
@click.option(
    "--kk", "header_kk", default="", metavar="TEXT", help=f"One line in Kazakh, up to {HEADER_MAX} characters."
)
@click.option("--ru", "header_ru", default="", metavar="TEXT", help="The same in Russian.")
@click.option("--en", "header_en", default="", metavar="TEXT", help="The same in English.")
@click.option("--text-kk", default="", metavar="TEXT", help=f"More, in Kazakh, up to {TEXT_MAX} characters.")
@click.option("--text-ru", default="", metavar="TEXT", help="More, in Russian.")
@click.option("--text-en", default="", metavar="TEXT", help="More, in English.")
@click.option("--stop", "stops", multiple=True, metavar="STOP", help="For a stop: its id, or the number on its sign.")
@click.option("--route", "routes", multiple=True, metavar="ROUTE", help="For a route: its id or number.")
@click.option(
    "--effect",
    type=click.Choice([one.value for one in Effect]),
    default=Effect.OTHER_EFFECT.value,
    help="What it does (GTFS-Realtime's Effect).",
)
@click.option(
    "--cause",
    type=click.Choice([one.value for one in Cause]),
    default=Cause.UNKNOWN_CAUSE.value,
    help="Why (GTFS-Realtime's Cause).",
)
@click.option(
    "--severity",
    type=click.Choice([one.value for one in Severity]),
    default=Severity.WARNING.value,
    help="How much it matters.",
)
@click.option("--from", "begins", metavar="WHEN", help="City time when it begins: 18:00 or “2026-11-26 18:00”.")
@click.option("--until", "ends", metavar="WHEN", help="City time when it ends by itself.")
@click.option("--for", "lasts", metavar="SPAN", help="Or how long it holds: 90m, 2h, 3d.")
@click.option("--takeover", is_flag=True, help="Fill the boards with it.")
@click.option("--author", metavar="NAME", help="Who says it (default: the name of this account).")
@click.pass_obj
def add(
    chosen: Chosen,
    /,
    *,
    stops: tuple[str, ...],
    routes: tuple[str, ...],
    effect: str,
    cause: str,
    severity: str,
    begins: str | None,
    ends: str | None,
    lasts: str | None,
    takeover: bool,
    author: str | None,
    **texts: str,
) -> None:
    """Tell something from now on, or from --from on, and print its id.

    Without --stop and --route it is for the whole city; with both, for these routes at these stops. A language that is
    left out is shown in one that was given.
    """
    header = _said(texts, "header_", "--", HEADER_MAX)
    if not header:
        fail('say it in at least one language: --kk "…" --ru "…" --en "…"', EXIT_USAGE)
    if (ends is None) == (lasts is None):
        fail("say when it ends: either --until “2026-11-26 18:00” or --for 2h", EXIT_USAGE)

    async def tell(city: RunningCity) -> Alert:
        alert = Alert(
            alert_id=secrets.token_hex(ID_BYTES),
            header=header,
            text=_said(texts, "text_", "--text-", TEXT_MAX),
            cause=Cause(cause),
            effect=Effect(effect),
            severity=Severity(severity),
            informed=_informed(city, stops, routes),
            periods=[_period(city, begins, ends, lasts)],
            takeover=takeover,
            author=author_of(author),
            made_ms=city.now_ms,
        )
        await NoticesStore(city.redis, city.keys).put_alert(alert, city.now_ms)
        return alert

    click.echo(in_city(chosen, tell).alert_id)
    if missing := [language for language in LANGUAGES if language not in header]:
        click.echo(f"no text in {', '.join(missing)}: boards show another language there", err=True)


@alerts.command("list")
@click.option("--all", "show_over", is_flag=True, help="Also those that are over, up to a week.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, everything that is known of each.")
@click.pass_obj
def list_all(chosen: Chosen, show_over: bool, as_json: bool) -> None:
    """List the alerts that hold now or will, who made them and when they end."""

    async def read(city: RunningCity) -> tuple[list[Alert], int, str]:
        notices = await NoticesStore(city.redis, city.keys).read()
        kept = [one for one in notices.alerts if show_over or one.over_ms > city.now_ms]
        ordered = sorted(kept, key=lambda one: (one.periods[0].start_ms, one.alert_id))
        return ordered, city.now_ms, city.network.time_zone

    found, now_ms, zone = in_city(chosen, read)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "state", "from", "until", "for", "effect", "text", "author"):
        table.add_column(heading)
    for alert in found:
        state = "now" if alert.period_at(now_ms) else ("coming" if alert.over_ms > now_ms else "over")
        colour = {"now": GREEN, "coming": YELLOW, "over": DIM}[state]
        first = next((alert.header[language] for language in LANGUAGES if alert.header.get(language)), "")
        table.add_row(
            alert.alert_id,
            f"[{colour}]{state}[/]",
            shown(alert.periods[0].start_ms, zone),
            shown(alert.over_ms, zone),
            escape(_whom(alert)),
            alert.effect + (" · fills boards" if alert.takeover else ""),
            escape(first),
            escape(alert.author + (f", ended by {alert.ended_by}" if alert.ended_by else "")),
        )
    console().print(table)


@alerts.command("end")
@click.argument("alert_id", metavar="ID")
@click.option("--author", metavar="NAME", help="Who ends it (default: the name of this account).")
@click.pass_obj
def end(chosen: Chosen, alert_id: str, author: str | None) -> None:
    """End the alert ID before its time. `ayaldama alerts list` shows the ids."""

    async def stop(city: RunningCity) -> bool:
        store = NoticesStore(city.redis, city.keys)
        alert = next((one for one in (await store.read()).alerts if one.alert_id == alert_id), None)
        if alert is None or alert.over_ms <= city.now_ms:
            return False
        await store.put_alert(alert.ended(city.now_ms, author_of(author)), city.now_ms)
        return True

    if not in_city(chosen, stop):
        fail(f"there is no alert {alert_id} that holds or is to come; see `ayaldama alerts list`")


def _said(texts: Mapping[str, str], prefix: str, option: str, most: int) -> dict[str, str]:
    """Return the texts that were given by language."""
    found: dict[str, str] = {}
    for language in LANGUAGES:
        text = " ".join(texts[f"{prefix}{language}"].split())
        if not text.isprintable():
            wrong(f"{option}{language}", repr(text), "must be text without control characters")
        if len(text) > most:
            wrong(f"{option}{language}", f"{text[:20]}…", f"must be up to {most} characters, has {len(text)}")
        if text:
            found[language] = text
    return found


def _informed(city: RunningCity, stops: tuple[str, ...], routes: tuple[str, ...]) -> list[Informed]:
    stop_ids = [stop_id for said in stops for stop_id in stops_named(city.network, said)]
    route_ids = [route_id for said in routes for route_id in routes_named(city.network, said)]
    pairs = [(stop_id, route_id) for stop_id in stop_ids or [""] for route_id in route_ids or [""]]
    if len(pairs) > INFORMED_MAX:
        fail(f"{len(pairs)} routes at stops are named, at most {INFORMED_MAX} go into one alert", EXIT_USAGE)
    return [Informed(stop_id=stop, route_id=route) for stop, route in dict.fromkeys(pairs) if stop or route]


def _period(city: RunningCity, begins: str | None, ends: str | None, lasts: str | None) -> Period:
    zone = city.network.time_zone
    start_ms = city.now_ms if begins is None else moment_ms("--from", begins, zone, city.now_ms)
    end_ms = (
        moment_ms("--until", ends, zone, start_ms) if ends is not None else start_ms + span_ms("--for", lasts or "")
    )
    if end_ms <= max(start_ms, city.now_ms):
        wrong("--until", ends or lasts or "", f"would be over before it begins ({shown(start_ms, zone)})")
    if end_ms - start_ms > LENGTH_MAX_MS:
        wrong("--until" if ends else "--for", ends or lasts or "", "an alert holds for up to a year")
    return Period(start_ms=start_ms, end_ms=end_ms)


def _whom(alert: Alert) -> str:
    if not alert.informed:
        return "the whole city"
    stops = list(dict.fromkeys(one.stop_id for one in alert.informed if one.stop_id))
    routes = list(dict.fromkeys(one.route_id for one in alert.informed if one.route_id))
    parts = [f"routes {', '.join(routes)}"] if routes else []
    return " at ".join([*parts, f"stops {', '.join(stops)}"] if stops else parts)


COMMAND: Final = alerts
