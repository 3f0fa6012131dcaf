"""``ayaldama fares``: what rides cost, and why."""

import datetime as dt
import re
from pathlib import Path
from typing import Final

import click

from ayaldama.commands._base import fail
from ayaldama.commands.fares_medium import inspector, medium
from commons.clock import wall_ms
from commons.texts import LANGUAGES, Language, load_catalogue
from fare.model import CarrierId, Concession, MediumId, MediumKind, PassHeld, Profile, Ride, RiderCategory, Riders
from fare.tariff.model import Tariff, build_tariff
from fare.tariff.price import RIDERS_MAX, price
from fare.tariff.rights import pass_held
from fare.tariff.wording import Words, explain_bill
from gtfs_data import fields
from gtfs_data.fares import FaresError, read_fares
from gtfs_data.read import FeedUnreadableError, read_texts

TIME: Final = re.compile(r"(\d{1,2}):([0-5]\d)")
HOURS_MAX: Final = 48
RIDERS: Final = re.compile(r"(\d{1,3})\*(\S+)")
RULE: Final = "must be “HH:MM LINE”, then perhaps “STOP” or “STOP>STOP” and riders such as “2*adult”"


@click.group("fares")
def fares() -> None:
    """Look at a city's tariff; keep who rides on a medium."""


@fares.command("price")
@click.option("--gtfs", "feed", required=True, type=click.Path(path_type=Path), help="A feed with fares.")
@click.option(
    "--rides",
    required=True,
    help="Rides of one passenger, with commas between: HH:MM LINE [STOP or STOP>STOP] [2*adult 1*child …]. "
    "The day goes on after midnight: half past is 24:30.",
)
@click.option(
    "--medium",
    type=click.Choice([kind.value for kind in MediumKind]),
    default=MediumKind.TRANSPORT_CARD.value,
    show_default=True,
    help="How they are paid.",
)
@click.option("--profile", "category", default="", help="Category of who holds the medium, such as pupil.")
@click.option("--pass", "product", default="", help="A pass that they hold, bought at the first ride.")
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="Day of the rides. Default: today in the city.")
@click.option("--language", type=click.Choice(LANGUAGES), help="Say it in one language only.")
def price_rides(
    feed: Path,
    rides: str,
    medium: str,
    category: str,
    product: str,
    date: dt.datetime | None,
    language: Language | None,
) -> None:
    """Say what rides cost by the tariff of FEED, line by line, in Kazakh, Russian and English."""
    try:
        tariff = build_tariff([read_fares(feed)])
    except (FeedUnreadableError, FaresError) as error:
        fail(str(error))
    day = date.date() if date else dt.datetime.fromtimestamp(wall_ms() / 1_000, tariff.zone).date()
    around = read_texts(feed, ("routes", "stops"))
    columns = (fields.texts(around.get("routes"), name) for name in ("route_id", "route_short_name"))
    names = dict(zip(*columns, strict=True))
    stops = set(fields.texts(around.get("stops"), "stop_id"))
    taken = [
        _ride(place, text.split(), day, MediumKind(medium), names, stops, tariff)
        for place, text in enumerate(rides.split(","))
    ]
    bill = price(taken, tariff, _profile(category, product, taken, tariff))
    catalogue = load_catalogue("fare")
    for one in (language,) if language else LANGUAGES:
        words = Words(catalogue=catalogue, language=one, tariff=tariff, route_names=names)
        click.echo("\n".join(explain_bill(bill, taken, words)))


def _ride(
    place: int,
    words: list[str],
    day: dt.date,
    kind: MediumKind,
    names: dict[str, str],
    known_stops: set[str],
    tariff: Tariff,
) -> Ride:
    time = TIME.fullmatch(words[0]) if len(words) > 1 else None
    if time is None or int(time[1]) >= HOURS_MAX:
        raise click.BadParameter(f"“{' '.join(words)}” {RULE}", param_hint="--rides")
    route_id = next((key for key, name in names.items() if words[1] in {key, name}), None)
    if route_id is None:
        raise click.BadParameter(f"no line {words[1]} in the feed", param_hint="--rides")
    groups = [RIDERS.fullmatch(word) for word in words[2:]]
    stops = [word for word, group in zip(words[2:], groups, strict=True) if group is None]
    riders = [Riders(category=RiderCategory(group[2]), count=int(group[1])) for group in groups if group is not None]
    if len(stops) > 1 or any(not 1 <= one.count <= RIDERS_MAX for one in riders):
        raise click.BadParameter(f"“{' '.join(words)}” {RULE}", param_hint="--rides")
    stop_id, _, to_stop_id = (stops or [""])[0].partition(">")
    for stop in {stop_id, to_stop_id} - {"", *known_stops}:
        raise click.BadParameter(f"no stop {stop} in the feed", param_hint="--rides")
    midnight = dt.datetime.combine(day, dt.time(), tzinfo=tariff.zone)
    tapped = midnight + dt.timedelta(hours=int(time[1]), minutes=int(time[2]))
    return Ride(
        key=f"ride-{place + 1}",
        tapped_ms=round(tapped.timestamp() * 1_000),
        medium_id=MediumId("medium"),
        medium_kind=kind,
        riders=tuple(riders),
        vehicle_id=f"vehicle-{place + 1}",
        carrier_id=CarrierId(""),
        route_id=route_id,
        stop_id=stop_id,
        to_stop_id=to_stop_id,
    )


def _profile(category: str, product: str, rides: list[Ride], tariff: Tariff) -> Profile:
    if category and category not in tariff.category_names:
        known = ", ".join(tariff.category_names)
        raise click.BadParameter(f"no such category; there are {known}", param_hint="--profile")
    rights = (Concession(category=RiderCategory(category), from_date="", until_date=""),) if category else ()
    held: tuple[PassHeld, ...] = ()
    if product:
        try:
            held = (pass_held(product, min(ride.tapped_ms for ride in rides), tariff),)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--pass") from error
    return Profile(concessions=rights, passes=held)


fares.add_command(medium)
fares.add_command(inspector)

COMMAND: Final = fares
