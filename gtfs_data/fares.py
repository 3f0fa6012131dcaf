"""Read the fares of a feed (edge): GTFS Fares v2 and our own files beside them, which docs/tariff.md describes.

Source: GTFS Schedule reference, "areas.txt" to "fare_transfer_rules.txt". A feed with any fault in these tables gives
no fares: a row left out would be somebody's money. All faults are found in one go.
"""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from gtfs_data import fields
from gtfs_data.fare_rows import DAY_S, FareRow, new_key, rows_of
from gtfs_data.fare_tables import (
    Cap,
    CapPeriod,
    Category,
    ConcessionRule,
    FareMedium,
    FareTables,
    LegJoinRule,
    LegRule,
    MediaType,
    Multiplier,
    PassProduct,
    PassUnit,
    ProductPrice,
    ServiceDays,
    Timeframe,
    TransferRule,
    TransferType,
    Version,
)
from gtfs_data.notices import CheckReport, Code, Notice, Notices, Severity
from gtfs_data.read import Tables, read_texts, texts_of

STANDARD: Final = (
    *("areas", "stop_areas", "networks", "route_networks", "timeframes", "rider_categories", "fare_media"),
    *("fare_products", "fare_leg_rules", "fare_leg_join_rules", "fare_transfer_rules"),
)
OWN: Final = (
    *("fare_versions", "fare_version_amounts", "fare_caps", "fare_passes", "fare_concessions", "fare_multipliers"),
)
AROUND: Final = ("agency", "stops", "routes", "calendar", "calendar_dates")
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
TRANSFERS_MAX: Final = 100
PRIORITY_MAX: Final = 1_000_000
LIMIT_S_MAX: Final = 7 * DAY_S
PERCENT_MAX: Final = 1_000
YEARS_MAX: Final = 150
LENGTH_MAX: Final = 3_660


class FaresError(ValueError):
    """A feed's fares cannot be used; ``report`` holds all that was found."""

    def __init__(self, name: str, report: CheckReport) -> None:
        errors = [notice for notice in report.notices if notice.severity is Severity.ERROR]
        more = f" (and {report.errors - 1} more)" if report.errors > 1 else ""
        super().__init__(f"{name}: {errors[0]}{more}")
        self.report = report


def read_fares(path: Path) -> FareTables:
    """Return the fares of the feed at ``path``.

    Raises:
        FeedUnreadableError: if there is no feed at ``path``.
        FaresError: if it has no fares of version 2, or any fault in them.
    """
    notices = Notices()
    fares = _parsed(read_texts(path, (*STANDARD, *OWN, *AROUND)), notices)
    if notices.report().errors:
        raise FaresError(path.name, notices.report())
    return fares


def check_fares(path: Path) -> CheckReport:
    """Return all faults of the fares of the feed at ``path``; a feed without fares of version 2 has none.

    Raises:
        FeedUnreadableError: if there is no feed at ``path``.
    """
    notices = Notices()
    tables = read_texts(path, (*STANDARD, *OWN, *AROUND))
    if any(name in tables.by_name for name in (*STANDARD, *OWN)):
        _parsed(tables, notices)
    return notices.report()


def check_fare_files(files: Mapping[str, bytes]) -> CheckReport:
    """Return all faults of the fares among ``files`` of a feed that is being made."""
    notices = Notices()
    _parsed(texts_of(files, (*STANDARD, *OWN, *AROUND)), notices)
    return notices.report()


def _parsed(tables: Tables, notices: Notices) -> FareTables:
    """Return the fares; worth nothing if ``notices`` has errors afterwards."""
    notices.add(notice for notice in tables.notices if Path(notice.file).stem not in AROUND)
    for name in ("fare_products", "fare_leg_rules"):
        if name not in tables.by_name:
            rule = "the file is required for fares and must have rows"
            notices.add(
                [Notice(severity=Severity.ERROR, code=Code.MISSING_REQUIRED_FILE, file=f"{name}.txt", rule=rule)]
            )
    return _Reading(tables, notices).fares()


class _Reading:
    """The tables of one feed, each read when those that it refers to have been."""

    def __init__(self, tables: Tables, notices: Notices) -> None:
        self._tables = tables
        self._notices = notices
        self._areas = {row.required("area_id"): row.text("area_name") for row in self._rows("areas", "area_id")}
        networks = {
            row.required("network_id"): row.text("network_name") for row in self._rows("networks", "network_id")
        }
        by_route = dict.fromkeys(fields.texts(tables.get("routes"), "network_id"), "")
        self._networks = {key: name for key, name in (by_route | networks).items() if key}
        self._versions = tuple(self._read_versions())
        self._version_ids = {version.version_id for version in self._versions}
        self._services = {service.service_id: service for service in self._read_services()}
        self._timeframes = tuple(self._read_timeframes())
        self._categories = tuple(self._read_categories())
        self._category_ids = {category.rider_category_id for category in self._categories}
        self._media = tuple(self._read_media())
        self._media_ids = {medium.fare_media_id for medium in self._media}
        self._currencies: dict[str, None] = {}
        self._prices = tuple(self._read_prices())
        self._product_ids = {price.fare_product_id for price in self._prices}
        self._version_amounts = tuple(self._read_version_amounts())
        every_price = (*self._prices, *self._version_amounts)
        self._discounts = {price.fare_product_id for price in every_price if price.amount_tiyn < 0}
        self._leg_rules = tuple(self._read_leg_rules())

    def fares(self) -> FareTables:
        zones = [zone for zone in fields.texts(self._tables.get("agency"), "agency_timezone") if zone]
        leg_rules = self._tables.get("fare_leg_rules")
        named = {frame.service_id for frame in self._timeframes}
        return FareTables(
            content_hash=self._tables.content_hash,
            time_zone=self._zone(zones[0] if zones else ""),
            currency=next(iter(self._currencies), ""),
            versions=self._versions,
            categories=self._categories,
            media=self._media,
            prices=(*self._prices, *self._version_amounts),
            leg_rules=self._leg_rules,
            leg_rules_have_priority="rule_priority" in leg_rules.columns,
            leg_join_rules=tuple(self._read_leg_joins()),
            transfer_rules=tuple(self._read_transfers()),
            timeframes=self._timeframes,
            services=tuple(self._services[name] for name in sorted(named & self._services.keys())),
            area_names=self._areas,
            network_names=self._networks,
            stop_areas=self._read_stop_areas(),
            route_networks=self._read_route_networks(),
            caps=tuple(self._read_caps()),
            passes=tuple(self._read_passes()),
            concessions=tuple(self._read_concessions()),
            multipliers=tuple(self._read_multipliers()),
        )

    def _rows(self, name: str, *required: str, key: tuple[str, ...] = ()) -> Iterator[FareRow]:
        """Yield the rows of a table; ``key`` (default: the first required column) may stand once."""
        taken: set[tuple[str, ...]] = set()
        for row in rows_of(self._tables, name, required, self._notices):
            new_key(row, taken, *(key or required[:1]))
            yield row

    def _zone(self, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ValueError, OSError, KeyError):
            rule = "must be the name of a zone of the IANA time zone database"
            notice = Notice(
                severity=Severity.ERROR,
                code=Code.INVALID_TIME_ZONE,
                file="agency.txt",
                field="agency_timezone",
                value=zone,
                rule=rule,
            )
            self._notices.add([notice])
        return zone

    def _read_versions(self) -> Iterator[Version]:
        rows = list(self._rows("fare_versions", "fare_version_id"))
        if not rows:
            yield Version(version_id=self._tables.content_hash[:12], from_date=None, until_date=None)
        spans: list[tuple[dt.date, dt.date]] = []
        for row in rows:
            first, last = row.date("start_date"), row.date("end_date")
            span = (first or dt.date.min, last or dt.date.max)
            if span[1] < span[0]:
                row.wrong(Code.DECREASING_TIME, "end_date", "must not be before start_date")
            if any(span[0] <= other[1] and other[0] <= span[1] for other in spans):
                row.wrong(Code.DUPLICATE_KEY, "start_date", "the days of versions must not overlap")
            spans.append(span)
            day_start_s = row.time_s("day_start_time", default=0)
            if day_start_s >= DAY_S // 2:
                row.wrong(Code.OUT_OF_RANGE, "day_start_time", "must be before 12:00:00")
            yield Version(
                version_id=row.required("fare_version_id"), from_date=first, until_date=last, day_start_s=day_start_s
            )

    def _read_services(self) -> Iterator[ServiceDays]:
        if "timeframes" not in self._tables.by_name:
            return
        changes: dict[str, dict[str, set[dt.date]]] = {}
        for row in self._rows("calendar_dates", "service_id", "date", "exception_type", key=("service_id", "date")):
            date, kind = row.date("date"), row.one_of("exception_type", ("1", "2"))
            if date is not None:
                changes.setdefault(row.text("service_id"), {"1": set(), "2": set()})[kind].add(date)
        seen: set[str] = set()
        for row in self._rows("calendar", "service_id", "start_date", "end_date"):
            service_id = row.required("service_id")
            seen.add(service_id)
            changed = changes.get(service_id, {"1": set(), "2": set()})
            yield ServiceDays(
                service_id=service_id,
                weekdays=tuple(day for day, name in enumerate(WEEKDAYS) if row.text(name) == "1"),
                from_date=row.date("start_date"),
                until_date=row.date("end_date"),
                added=frozenset(changed["1"]),
                removed=frozenset(changed["2"]),
            )
        for service_id in changes.keys() - seen:
            yield ServiceDays(
                service_id=service_id,
                weekdays=(),
                from_date=None,
                until_date=None,
                added=frozenset(changes[service_id]["1"]),
                removed=frozenset(),
            )

    def _read_timeframes(self) -> Iterator[Timeframe]:
        key = ("timeframe_group_id", "start_time", "end_time", "service_id")
        for row in self._rows("timeframes", "timeframe_group_id", "service_id", key=key):
            from_s, until_s = row.time_s("start_time", default=0), row.time_s("end_time", default=DAY_S)
            if until_s <= from_s:
                row.wrong(Code.DECREASING_TIME, "end_time", "must be later than start_time")
            yield Timeframe(
                timeframe_group_id=row.required("timeframe_group_id"),
                from_s=from_s,
                until_s=until_s,
                service_id=row.reference("service_id", self._services, "calendar or its dates", required=True),
            )

    def _read_categories(self) -> Iterator[Category]:
        defaults = 0
        for row in self._rows("rider_categories", "rider_category_id"):
            default = row.text("is_default_fare_category") == "1"
            defaults += default
            if default and defaults > 1:
                row.wrong(Code.INVALID_VALUE, "is_default_fare_category", "only one category may be the default")
            yield Category(
                rider_category_id=row.required("rider_category_id"),
                name=row.text("rider_category_name"),
                default=default,
            )

    def _read_media(self) -> Iterator[FareMedium]:
        kinds = {str(kind.value): kind for kind in MediaType}
        for row in self._rows("fare_media", "fare_media_id", "fare_media_type"):
            yield FareMedium(
                fare_media_id=row.required("fare_media_id"),
                name=row.text("fare_media_name"),
                media_type=kinds[row.one_of("fare_media_type", kinds)],
            )

    def _read_prices(self) -> Iterator[ProductPrice]:
        key = ("fare_product_id", "rider_category_id", "fare_media_id")
        for row in self._rows("fare_products", "fare_product_id", "amount", "currency", key=key):
            currency = row.required("currency")
            self._currencies[currency] = None
            if len(self._currencies) > 1:
                row.wrong(Code.INVALID_VALUE, "currency", f"one feed has one currency, not {currency} beside another")
            yield ProductPrice(
                fare_product_id=row.required("fare_product_id"),
                name=row.text("fare_product_name"),
                rider_category_id=self._category(row),
                fare_media_id=self._medium(row),
                amount_tiyn=row.amount_tiyn("amount", low=None),  # transfers may be discounts
            )

    def _read_version_amounts(self) -> Iterator[ProductPrice]:
        key = ("fare_version_id", "fare_product_id", "rider_category_id", "fare_media_id")
        for row in self._rows("fare_version_amounts", "fare_version_id", "fare_product_id", "amount", key=key):
            yield ProductPrice(
                fare_product_id=self._product(row, required=True),
                name="",
                rider_category_id=self._category(row),
                fare_media_id=self._medium(row),
                amount_tiyn=row.amount_tiyn("amount", low=None),
                version_id=row.reference("fare_version_id", self._version_ids, "fare_versions.txt", required=True),
            )

    def _read_leg_rules(self) -> Iterator[LegRule]:
        frames = {frame.timeframe_group_id for frame in self._timeframes}
        key = (
            *("network_id", "from_area_id", "to_area_id", "from_timeframe_group_id", "to_timeframe_group_id"),
            *("fare_product_id", "rule_priority", "leg_group_id"),
        )
        for row in self._rows("fare_leg_rules", "fare_product_id", key=key):
            if row.text("fare_product_id") in self._discounts:
                row.wrong(Code.OUT_OF_RANGE, "fare_product_id", "only products of transfers may cost less than 0")
            yield LegRule(
                leg_group_id=row.text("leg_group_id"),
                network_id=self._network(row),
                from_area_id=row.reference("from_area_id", self._areas, "areas.txt"),
                to_area_id=row.reference("to_area_id", self._areas, "areas.txt"),
                from_timeframe_group_id=row.reference("from_timeframe_group_id", frames, "timeframes.txt"),
                to_timeframe_group_id=row.reference("to_timeframe_group_id", frames, "timeframes.txt"),
                fare_product_id=self._product(row, required=True),
                priority=row.whole("rule_priority", low=0, high=PRIORITY_MAX, default=0),
            )

    def _read_leg_joins(self) -> Iterator[LegJoinRule]:
        stops = set(fields.texts(self._tables.get("stops"), "stop_id"))
        key = ("from_network_id", "to_network_id", "from_stop_id", "to_stop_id")
        for row in self._rows("fare_leg_join_rules", "from_network_id", "to_network_id", key=key):
            yield LegJoinRule(
                from_network_id=row.reference("from_network_id", self._networks, "networks.txt", required=True),
                to_network_id=row.reference("to_network_id", self._networks, "networks.txt", required=True),
                from_stop_id=row.reference("from_stop_id", stops, "stops.txt"),
                to_stop_id=row.reference("to_stop_id", stops, "stops.txt"),
            )

    def _read_transfers(self) -> Iterator[TransferRule]:
        groups = {rule.leg_group_id for rule in self._leg_rules}
        kinds = {str(kind.value): kind for kind in TransferType}
        key = ("from_leg_group_id", "to_leg_group_id", "fare_product_id", "transfer_count", "duration_limit")
        for row in self._rows("fare_transfer_rules", "fare_transfer_type", key=key):
            limit_s = row.whole("duration_limit", low=1, high=LIMIT_S_MAX, default=0)
            if limit_s:
                row.one_of("duration_limit_type", ("0", "1", "2", "3"))  # from tap to tap: nobody taps out
            elif row.text("duration_limit_type"):
                row.wrong(Code.INVALID_VALUE, "duration_limit_type", "must be empty where there is no duration_limit")
            count = row.whole("transfer_count", low=-1, high=TRANSFERS_MAX, default=-1)
            if count == 0:
                row.wrong(Code.INVALID_VALUE, "transfer_count", "must be -1 (any number) or above 0")
            yield TransferRule(
                from_leg_group_id=row.reference("from_leg_group_id", groups, "fare_leg_rules.txt"),
                to_leg_group_id=row.reference("to_leg_group_id", groups, "fare_leg_rules.txt"),
                transfers_max=count,
                duration_limit_s=limit_s,
                transfer_type=kinds[row.one_of("fare_transfer_type", kinds)],
                fare_product_id=self._product(row),
            )

    def _read_stop_areas(self) -> dict[str, tuple[str, ...]]:
        stops = set(fields.texts(self._tables.get("stops"), "stop_id"))
        found: dict[str, set[str]] = {}
        for row in self._rows("stop_areas", "area_id", "stop_id", key=("area_id", "stop_id")):
            area_id = row.reference("area_id", self._areas, "areas.txt", required=True)
            found.setdefault(row.reference("stop_id", stops, "stops.txt", required=True), set()).add(area_id)
        return {stop_id: tuple(sorted(areas)) for stop_id, areas in found.items()}

    def _read_route_networks(self) -> dict[str, str]:
        table = self._tables.get("routes")
        routes = fields.texts(table, "route_id")
        given = dict(zip(routes, fields.texts(table, "network_id"), strict=True))
        found = {route_id: network_id for route_id, network_id in given.items() if network_id}
        for row in self._rows("route_networks", "network_id", "route_id", key=("route_id",)):
            route_id = row.reference("route_id", routes, "routes.txt", required=True)
            found[route_id] = row.reference("network_id", self._networks, "networks.txt", required=True)
        return found

    def _read_caps(self) -> Iterator[Cap]:
        for row in self._rows("fare_caps", "fare_cap_id", "cap_period", "amount"):
            yield Cap(
                cap_id=row.required("fare_cap_id"),
                period=CapPeriod(row.one_of("cap_period", [period.value for period in CapPeriod])),
                amount_tiyn=row.amount_tiyn("amount"),
                rider_category_id=self._category(row),
                fare_media_id=self._medium(row),
                network_id=self._network(row),
                version_id=self._version(row),
            )

    def _read_passes(self) -> Iterator[PassProduct]:
        key = ("fare_product_id", "network_id")
        for row in self._rows("fare_passes", "fare_product_id", "duration_unit", "duration", key=key):
            yield PassProduct(
                fare_product_id=self._product(row, required=True),
                unit=PassUnit(row.one_of("duration_unit", [unit.value for unit in PassUnit])),
                length=row.whole("duration", low=1, high=LENGTH_MAX),
                network_id=self._network(row),
            )

    def _read_concessions(self) -> Iterator[ConcessionRule]:
        key = ("rider_category_id", "fare_version_id")
        defaults = {category.rider_category_id for category in self._categories if category.default}
        for row in self._rows("fare_concessions", "rider_category_id", key=key):
            share, fixed = row.text("share_percent"), row.text("fixed_amount")
            if share and fixed:
                row.wrong(Code.INVALID_VALUE, "fixed_amount", "must be empty where there is a share_percent")
            if row.text("rider_category_id") in defaults:
                row.wrong(Code.INVALID_VALUE, "rider_category_id", "the default category pays the full fare")
            yield ConcessionRule(
                rider_category_id=self._category(row, required=True),
                share_percent=row.whole("share_percent", low=0, high=100, default=100),
                fixed_tiyn=row.amount_tiyn("fixed_amount") if fixed else -1,
                free_rides_per_day=row.whole("free_rides_per_day", low=0, high=TRANSFERS_MAX, default=0),
                paid_by=row.text("paid_by"),
                proof=row.text("proof_required") != "0",
                ends_at_age=row.whole("ends_at_age", low=0, high=YEARS_MAX, default=0),
                version_id=self._version(row),
            )

    def _read_multipliers(self) -> Iterator[Multiplier]:
        key = ("network_id", "fare_version_id")
        for row in self._rows("fare_multipliers", "network_id", "percent", key=key):
            yield Multiplier(
                network_id=row.reference("network_id", self._networks, "networks.txt", required=True),
                percent=row.whole("percent", low=0, high=PERCENT_MAX),
                version_id=self._version(row),
            )

    def _product(self, row: FareRow, *, required: bool = False) -> str:
        known: Collection[str] = self._product_ids
        return row.reference("fare_product_id", known, "fare_products.txt", required=required)

    def _category(self, row: FareRow, *, required: bool = False) -> str:
        return row.reference("rider_category_id", self._category_ids, "rider_categories.txt", required=required)

    def _medium(self, row: FareRow) -> str:
        return row.reference("fare_media_id", self._media_ids, "fare_media.txt")

    def _network(self, row: FareRow) -> str:
        return row.reference("network_id", self._networks, "networks.txt")

    def _version(self, row: FareRow) -> str:
        return row.reference("fare_version_id", self._version_ids, "fare_versions.txt")
