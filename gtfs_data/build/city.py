"""``city.toml``: who runs the buses, in which languages, on which days, how fast. Each section is judged by itself."""

import datetime as dt
import re
import tomllib
from collections.abc import Mapping
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from gtfs_data.build.model import Agency, Basics, Carrier, DayType, Fare, Running, Speed, Terms, Validity
from gtfs_data.build.problems import Problems
from gtfs_data.build.sheet import decoded, seconds_of
from gtfs_data.notices import Code

T = TypeVar("T")

FILE: Final = "city.toml"
SECTIONS: Final = ("languages", "agency", "carriers", "validity", "day_types", "fare", "running")
DAYS_MAX: Final = 3_660
YEARS: Final = range(2000, 2200)
SPEED_KMH: Final = (3.0, 100.0)
DWELL_S_MAX: Final = 600
LAYOVER_MIN_MAX: Final = 240.0
ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,40}")  # ids stand in names of files and keys: nothing that needs escaping
LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
CURRENCY: Final = re.compile(r"[A-Z]{3}")


def read_terms(content: bytes, today: dt.date | None, problems: Problems) -> tuple[Basics | None, Terms | None]:
    """Return what the tables are read by, and the terms; None after saying what is wrong.

    ``today`` is the day of the build, needed where validity is counted from it.
    """
    text = decoded(FILE, content, problems)
    if text is None:
        return None, None
    try:
        sections = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.error(Code.FILE_UNREADABLE, FILE, f"must be TOML: {error}")
        return None, None
    for name in sections.keys() - set(SECTIONS):
        problems.error(Code.INVALID_VALUE, FILE, f"no such section; there are {', '.join(SECTIONS)}", field=name)
    languages = _section(sections, "languages", tuple[str, ...], problems)
    agency = _section(sections, "agency", Agency, problems)
    carriers = _section(sections, "carriers", tuple[Carrier, ...], problems) if "carriers" in sections else ()
    validity = _section(sections, "validity", Validity, problems)
    day_types = _section(sections, "day_types", dict[str, DayType], problems)
    running = _section(sections, "running", Running, problems)
    fare = _section(sections, "fare", Fare, problems) if "fare" in sections else None
    if languages is not None:
        _check_languages(languages, problems)
    if agency is not None:
        _check_agency(agency, languages or (), problems)
    _check_carriers(carriers or (), agency, languages or (), problems)
    if day_types is not None:
        _check_day_types(day_types, problems)
    if fare is not None:
        _check_fare(fare, problems)
    span = _span(validity, today, problems) if validity is not None else None
    speeds = _speeds(running, problems) if running is not None else ()
    if not languages or day_types is None:
        return None, None
    ids = (*([agency.id] if agency else []), *(carrier.id for carrier in carriers or ()))
    basics = Basics(languages=languages, day_types=day_types, carriers=ids)
    if agency is None or running is None or span is None or not speeds:
        return basics, None
    return basics, Terms(
        languages=languages,
        agency=agency,
        carriers=carriers or (),
        first_day=span[0],
        last_day=span[1],
        day_types=day_types,
        fare=fare,
        speeds=speeds,
        dwell_s=running.dwell_s,
        layover_s=round(running.layover_min * 60),
    )


def _section(sections: Mapping[str, object], name: str, kind: type[T], problems: Problems) -> T | None:
    if name not in sections:
        problems.error(Code.MISSING_REQUIRED_VALUE, FILE, "the section is required", field=name)
        return None
    try:
        return msgspec.convert(sections[name], kind)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        problems.error(Code.INVALID_VALUE, FILE, what, field=name + path.rstrip("`"))
        return None


def _check_languages(languages: tuple[str, ...], problems: Problems) -> None:
    rule = "must be one or more different codes of languages (ISO 639), the city's own first, such as “kk”"
    if not languages or len(set(languages)) < len(languages) or not all(map(LANGUAGE.fullmatch, languages)):
        problems.error(Code.INVALID_VALUE, FILE, rule, field="languages", value=" ".join(languages))


def _check_agency(agency: Agency, languages: tuple[str, ...], problems: Problems) -> None:
    def wrong(code: Code, field: str, value: str, rule: str) -> None:
        problems.error(code, FILE, rule, field=f"agency.{field}", value=value)

    if not ID.fullmatch(agency.id):
        wrong(Code.INVALID_VALUE, "id", agency.id, "must be up to 40 Latin letters, digits and . _ : -")
    if languages and not agency.name.get(languages[0], "").strip():
        wrong(Code.MISSING_REQUIRED_VALUE, "name", "", f"must have a name in “{languages[0]}”")
    for language in agency.name.keys() - set(languages):
        wrong(Code.INVALID_VALUE, "name", language, "no such language in “languages”")
    if not agency.url.startswith(("http://", "https://")):
        wrong(Code.INVALID_VALUE, "url", agency.url, "must begin with https:// or http://")
    try:
        ZoneInfo(agency.time_zone)
    except (ValueError, OSError, KeyError):
        rule = "must be the name of a zone of the IANA time zone database, such as “Asia/Qyzylorda”"
        wrong(Code.INVALID_TIME_ZONE, "time_zone", agency.time_zone, rule)


def _check_carriers(
    carriers: tuple[Carrier, ...], agency: Agency | None, languages: tuple[str, ...], problems: Problems
) -> None:
    taken = {agency.id} if agency else set()
    for place, carrier in enumerate(carriers):
        field = f"carriers[{place}]"
        if not ID.fullmatch(carrier.id):
            rule = "must be up to 40 Latin letters, digits and . _ : -"
            problems.error(Code.INVALID_VALUE, FILE, rule, field=f"{field}.id", value=carrier.id)
        if carrier.id in taken:
            rule = "each id may stand once, the agency's included"
            problems.error(Code.DUPLICATE_KEY, FILE, rule, field=f"{field}.id", value=carrier.id)
        taken.add(carrier.id)
        if languages and not carrier.name.get(languages[0], "").strip():
            rule = f"must have a name in “{languages[0]}”"
            problems.error(Code.MISSING_REQUIRED_VALUE, FILE, rule, field=f"{field}.name")
        if carrier.url and not carrier.url.startswith(("http://", "https://")):
            rule = "must begin with https:// or http://"
            problems.error(Code.INVALID_VALUE, FILE, rule, field=f"{field}.url", value=carrier.url)


def _check_day_types(day_types: Mapping[str, DayType], problems: Problems) -> None:
    taken: dict[dt.date, str] = {}
    for name, day_type in day_types.items():
        field = f"day_types.{name}"
        if not ID.fullmatch(name):
            rule = "must be named by up to 40 Latin letters, digits and . _ : -"
            problems.error(Code.INVALID_VALUE, FILE, rule, field=field, value=name)
        if not day_type.weekdays and not day_type.dates:
            problems.error(Code.NO_SERVICE_DATES, FILE, "must have weekdays or dates", field=field)
        for date in day_type.dates:
            if date in taken:
                rule = f"a date is of one type; this one is of “{taken[date]}” already"
                problems.error(Code.DUPLICATE_KEY, FILE, rule, field=f"{field}.dates", value=date)
            taken[date] = name
    if not day_types:
        problems.error(Code.NO_SERVICE_DATES, FILE, "must have a type of days at least", field="day_types")


def _check_fare(fare: Fare, problems: Problems) -> None:
    if fare.flat_tiyn < 0:
        problems.error(Code.OUT_OF_RANGE, FILE, "must not be below 0", field="fare.flat_tiyn", value=fare.flat_tiyn)
    if not CURRENCY.fullmatch(fare.currency):
        rule = "must be the code of a currency (ISO 4217), such as “KZT”"
        problems.error(Code.INVALID_VALUE, FILE, rule, field="fare.currency", value=fare.currency)


def _span(validity: Validity, today: dt.date | None, problems: Problems) -> tuple[dt.date, dt.date] | None:
    first_day = validity.first_day or today
    if first_day is None:
        rule = "must have first_day, or the feed be built for a day"
        problems.error(Code.MISSING_REQUIRED_VALUE, FILE, rule, field="validity.first_day")
        return None
    if first_day.year not in YEARS:
        rule = f"must be from {YEARS[0]} to {YEARS[-1]}"
        problems.error(Code.OUT_OF_RANGE, FILE, rule, field="validity.first_day", value=first_day)
        return None
    if (validity.last_day is None) == (validity.days is None):
        rule = "must have either last_day or days"
        problems.error(Code.MISSING_REQUIRED_VALUE, FILE, rule, field="validity")
        return None
    if validity.days is not None and not 1 <= validity.days <= DAYS_MAX:
        rule = f"must be from 1 to {DAYS_MAX}"
        problems.error(Code.OUT_OF_RANGE, FILE, rule, field="validity.days", value=validity.days)
        return None
    last_day = validity.last_day or first_day + dt.timedelta(days=(validity.days or 1) - 1)
    if not 0 <= (last_day - first_day).days < DAYS_MAX:
        rule = f"must be the first day or up to {DAYS_MAX} days later"
        problems.error(Code.OUT_OF_RANGE, FILE, rule, field="validity.last_day", value=last_day)
        return None
    return first_day, last_day


def _speeds(running: Running, problems: Problems) -> tuple[Speed, ...]:
    speeds: list[Speed] = []
    for place, row in enumerate(running.speeds):
        field = f"running.speeds[{place}]"
        start_s = seconds_of(row.start)
        if start_s is None or start_s >= 86_400 or (speeds and start_s <= speeds[-1].start_s):
            rule = "must be HH:MM before 24:00, each later than the one before"
            problems.error(Code.INVALID_TIME, FILE, rule, field=f"{field}.from", value=row.start)
        elif not SPEED_KMH[0] <= row.kmh <= SPEED_KMH[1]:
            rule = f"must be from {SPEED_KMH[0]:g} to {SPEED_KMH[1]:g} km/h"
            problems.error(Code.OUT_OF_RANGE, FILE, rule, field=f"{field}.kmh", value=row.kmh)
        else:
            speeds.append(Speed(start_s, row.kmh / 3.6))
    if not running.speeds:
        problems.error(Code.MISSING_REQUIRED_VALUE, FILE, "must have a speed at least", field="running.speeds")
    for name, value, high in (
        ("dwell_s", running.dwell_s, DWELL_S_MAX),
        ("layover_min", running.layover_min, LAYOVER_MIN_MAX),
    ):
        if not 0 <= value <= high:
            rule = f"must be from 0 to {high:g}"
            problems.error(Code.OUT_OF_RANGE, FILE, rule, field=f"running.{name}", value=value)
    return tuple(speeds)
