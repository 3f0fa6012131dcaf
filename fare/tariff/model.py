"""A tariff: what a ride costs on the date of its tap. Immutable, made of the fare tables of one or more feeds.

Rules of matching are those of the GTFS reference (fare_leg_rules.txt, fare_transfer_rules.txt). We know where a ride
begins and seldom where it ends, so a fare that depends on the end is the dearest one that the beginning allows, until
the passenger says where. Amounts are tiyn (hundredths), dates days of the city, times UTC epoch milliseconds.
"""

import datetime as dt
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from fare.model import MediumKind, Profile, RiderCategory
from gtfs_data.fare_tables import (
    Cap,
    CapPeriod,
    ConcessionRule,
    FareTables,
    LegRule,
    MediaType,
    Multiplier,
    PassProduct,
    ServiceDays,
    Timeframe,
    TransferRule,
    TransferType,
    Version,
)

MEDIA_TYPES: Final[Mapping[MediumKind, MediaType]] = MappingProxyType(
    {
        MediumKind.CASH: MediaType.NONE,
        MediumKind.TRANSPORT_CARD: MediaType.TRANSIT_CARD,
        MediumKind.BANK_CARD: MediaType.CONTACTLESS,
        MediumKind.PHONE: MediaType.MOBILE_APP,
        MediumKind.SMS: MediaType.MOBILE_APP,  # GTFS has no type for it, and it is a phone
    }
)
MS: Final = 1_000

_Row = TypeVar("_Row", Cap, ConcessionRule, Multiplier)
_Areas = tuple[str, ...]
_Found = dict[tuple[str, _Areas, _Areas | None, _Areas, MediumKind, RiderCategory], "Fare | None"]


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """When a ride begins, as a tariff sees it."""

    at_ms: int
    date: dt.date
    time_s: int  # of the local day
    service_date: dt.date  # a day that starts at 04:30 is yesterday's until then

    @property
    def week(self) -> dt.date:
        """Return the Monday of the service week."""
        return self.service_date - dt.timedelta(days=self.service_date.weekday())


@dataclass(frozen=True, slots=True, kw_only=True)
class Fare:
    """What one rider pays for one ride before transfers, quotas, passes and caps."""

    product_id: str
    leg_group_id: str
    network_id: str
    full_tiyn: int  # of the default category
    own_tiyn: int
    paid_by: str  # who pays the difference; "": nobody
    express: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A transfer rule with its price for one rider and, beside it, for one of the default category."""

    rule: TransferRule
    full_tiyn: int
    own_tiyn: int

    @property
    def is_free(self) -> bool:
        """Return whether the next leg costs nothing, whatever it costs alone."""
        return self.own_tiyn == 0 and self.rule.transfer_type is TransferType.FROM_AND_TRANSFER

    def price_tiyn(self, before_tiyn: int, alone_tiyn: int, *, full: bool) -> int:
        """Return what the next leg costs after legs of ``before_tiyn``; never more than alone, never below nothing."""
        extra_tiyn = self.full_tiyn if full else self.own_tiyn
        if self.rule.transfer_type is TransferType.FROM_TRANSFER_AND_TO:
            extra_tiyn += alone_tiyn
        elif self.rule.transfer_type is TransferType.TRANSFER:
            extra_tiyn -= before_tiyn
        return max(0, min(extra_tiyn, alone_tiyn))


class TariffVersion:
    """The prices and rules of some days. It answers the same for ever; answers are kept, as they repeat."""

    def __init__(self, tables: FareTables, version: Version) -> None:
        self.version_id = version.version_id
        self.from_date = version.from_date or dt.date.min
        self.until_date = version.until_date or dt.date.max
        self.day_start_s = version.day_start_s
        self.default_category = RiderCategory(
            next((category.rider_category_id for category in tables.categories if category.default), "")
        )
        self.passes: Mapping[str, tuple[PassProduct, ...]] = MappingProxyType(
            {product.fare_product_id: _passes_of(tables, product.fare_product_id) for product in tables.passes}
        )
        self.concessions: Mapping[str, ConcessionRule] = MappingProxyType(
            {rule.rider_category_id: rule for rule in _of_version(tables.concessions, version.version_id)}
        )
        categories = [category.rider_category_id for category in tables.categories]
        self.categories = tuple(RiderCategory(name) for name in dict.fromkeys([*self.concessions, *categories]))
        types = {medium.fare_media_id: medium.media_type for medium in tables.media}
        self._caps = tuple((cap, types.get(cap.fare_media_id)) for cap in _of_version(tables.caps, version.version_id))
        self._percents = {rule.network_id: rule.percent for rule in _of_version(tables.multipliers, version.version_id)}
        self._amounts = _amounts(tables, version.version_id, types)
        self._legs = _Legs(tables)
        self._transfer_rules = tables.transfer_rules
        self._from_groups = {rule.from_leg_group_id for rule in tables.transfer_rules}
        self._to_groups = {rule.to_leg_group_id for rule in tables.transfer_rules}
        self._fares: _Found = {}
        self._between: dict[tuple[str, str, MediumKind, RiderCategory], tuple[Transfer, ...]] = {}
        self._caps_of: dict[tuple[str, MediumKind, RiderCategory], tuple[Cap, ...]] = {}

    def fare(
        self, route_id: str, stop_id: str, to_stop_id: str, moment: Moment, kind: MediumKind, category: RiderCategory
    ) -> Fare | None:
        """Return what a rider of ``category`` pays, None if the tariff does not say."""
        legs = self._legs
        network_id = legs.route_networks.get(route_id, "")
        from_areas = legs.stop_areas.get(stop_id, ())
        to_areas = legs.stop_areas.get(to_stop_id, ()) if to_stop_id else None
        frames = legs.frames_at(moment) if legs.timeframes else ()
        key = (network_id, from_areas, to_areas, frames, kind, category)
        if key not in self._fares:
            self._fares[key] = self._fare(network_id, from_areas, to_areas, frames, kind, category)
        return self._fares[key]

    def transfers(
        self, from_group: str, to_group: str, kind: MediumKind, category: RiderCategory
    ) -> tuple[Transfer, ...]:
        """Return the rules for a leg of ``to_group`` after one of ``from_group``."""
        key = (from_group, to_group, kind, category)
        if key not in self._between:
            self._between[key] = tuple(
                Transfer(
                    rule=rule,
                    full_tiyn=self.amount_tiyn(rule.fare_product_id, kind, self.default_category) or 0,
                    own_tiyn=self.amount_tiyn(rule.fare_product_id, kind, category) or 0,
                )
                for rule in self._transfer_rules
                if self._joins(rule, from_group, to_group)
            )
        return self._between[key]

    def caps(self, network_id: str, kind: MediumKind, category: RiderCategory) -> tuple[Cap, ...]:
        """Return the caps that a fare counts towards."""
        key = (network_id, kind, category)
        if key not in self._caps_of:
            self._caps_of[key] = tuple(
                cap
                for cap, media_type in self._caps
                if media_type in {None, MEDIA_TYPES[kind]}
                and cap.rider_category_id in {"", category}
                and cap.network_id in {"", network_id}
            )
        return self._caps_of[key]

    def amount_tiyn(self, product_id: str, kind: MediumKind, category: RiderCategory) -> int | None:
        """Return the price of a product for a category, its concession included; None if it has none."""
        full_tiyn = self._listed(product_id, kind, self.default_category)
        own_tiyn = self._amounts.get((product_id, category, MEDIA_TYPES[kind]))
        if own_tiyn is not None or full_tiyn is None:
            return own_tiyn
        rule = self.concessions.get(category)
        if rule is None:
            return full_tiyn
        return rule.fixed_tiyn if rule.fixed_tiyn >= 0 else full_tiyn * rule.share_percent // 100

    def rights(self, profile: Profile, date: dt.date) -> tuple[RiderCategory, ...]:
        """Return the categories that a profile may ride as on ``date``, the tariff's first one first."""
        if not profile.concessions:
            return ()
        day = date.isoformat()
        held = {
            right.category
            for right in profile.concessions
            if right.from_date <= day and (not right.until_date or day <= right.until_date)
        }
        return tuple(category for category in self.categories if category in held)

    def _fare(
        self,
        network_id: str,
        from_areas: _Areas,
        to_areas: _Areas | None,
        frames: _Areas,
        kind: MediumKind,
        category: RiderCategory,
    ) -> Fare | None:
        ends = [to_areas] if to_areas is not None else self._legs.ends(network_id, from_areas)
        cheapest = [
            min(priced, key=lambda fare: (fare.own_tiyn, fare.full_tiyn, fare.product_id))
            for end in ends
            if (
                priced := self._priced(
                    self._legs.matching(network_id, from_areas, end, frames), network_id, kind, category
                )
            )
        ]
        return max(cheapest, key=lambda fare: (fare.own_tiyn, fare.full_tiyn, fare.product_id), default=None)

    def _priced(
        self, rules: Sequence[LegRule], network_id: str, kind: MediumKind, category: RiderCategory
    ) -> list[Fare]:
        percent = self._percents.get(network_id, 100)
        concession = self.concessions.get(category)
        found = []
        for rule in rules:
            own_tiyn = self.amount_tiyn(rule.fare_product_id, kind, category)
            if own_tiyn is None or rule.fare_product_id in self.passes:
                continue
            full_tiyn = self._listed(rule.fare_product_id, kind, self.default_category)
            found.append(
                Fare(
                    product_id=rule.fare_product_id,
                    leg_group_id=rule.leg_group_id,
                    network_id=network_id,
                    full_tiyn=max(own_tiyn, own_tiyn if full_tiyn is None else full_tiyn) * percent // 100,
                    own_tiyn=own_tiyn * percent // 100,
                    paid_by=concession.paid_by if concession else "",
                    express=percent != 100,
                )
            )
        return found

    def _listed(self, product_id: str, kind: MediumKind, category: RiderCategory) -> int | None:
        amount = self._amounts.get((product_id, category, MEDIA_TYPES[kind]))
        return amount if amount is not None else self._amounts.get((product_id, "", MEDIA_TYPES[kind]))

    def _joins(self, rule: TransferRule, from_group: str, to_group: str) -> bool:
        """Return whether a rule is for two groups: an empty one stands for all that no rule names."""
        if not from_group or not to_group:
            return False
        starts = rule.from_leg_group_id == (from_group if from_group in self._from_groups else "")
        return starts and rule.to_leg_group_id == (to_group if to_group in self._to_groups else "")


class _Legs:
    """Which leg rules hold for a ride."""

    def __init__(self, tables: FareTables) -> None:
        self.route_networks = tables.route_networks
        self.stop_areas = tables.stop_areas
        self.timeframes = tables.timeframes
        self._services = {service.service_id: service for service in tables.services}
        self._rules = tables.leg_rules
        self._wild = tables.leg_rules_have_priority
        self._networks = {rule.network_id for rule in tables.leg_rules} - {""}
        self._from_areas = {rule.from_area_id for rule in tables.leg_rules} - {""}
        self._to_areas = {rule.to_area_id for rule in tables.leg_rules} - {""}

    def frames_at(self, moment: Moment) -> _Areas:
        """Return the groups of timeframes that a moment is in."""
        return tuple(sorted({frame.timeframe_group_id for frame in self.timeframes if self._is_in(frame, moment)}))

    def ends(self, network_id: str, from_areas: _Areas) -> list[_Areas]:
        """Return where a ride that begins in ``from_areas`` may end, as far as any rule cares."""
        named = {
            rule.to_area_id
            for rule in self._rules
            if rule.network_id in {"", network_id} and (not rule.from_area_id or rule.from_area_id in from_areas)
        }
        return [(area,) for area in sorted(named - {""})] + [()]

    def matching(self, network_id: str, from_areas: _Areas, to_areas: _Areas, frames: _Areas) -> list[LegRule]:
        """Return the rules for a leg, of those with a priority the highest only."""
        found = [
            rule
            for rule in self._rules
            if self._fits(rule.network_id, (network_id,), self._networks)
            and self._fits(rule.from_area_id, from_areas, self._from_areas)
            and self._fits(rule.to_area_id, to_areas, self._to_areas)
            and (not rule.from_timeframe_group_id or rule.from_timeframe_group_id in frames)
        ]
        highest = max((rule.priority for rule in found), default=0)
        return [rule for rule in found if rule.priority == highest]

    def _fits(self, wanted: str, has: _Areas, named: set[str]) -> bool:
        """Return whether a field holds. An empty one means any, or without rule_priority all that no row names."""
        return wanted in has if wanted else self._wild or not named.intersection(has)

    def _is_in(self, frame: Timeframe, moment: Moment) -> bool:
        runs = frame.service_id in self._services and runs_on(self._services[frame.service_id], moment.date)
        return runs and frame.from_s <= moment.time_s < frame.until_s


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tariff:
    """All versions of a city's tariff, in order of their days."""

    currency: str
    zone: ZoneInfo
    versions: tuple[TariffVersion, ...]
    product_names: Mapping[str, str] = field(default_factory=dict)
    category_names: Mapping[str, str] = field(default_factory=dict)

    def version_on(self, date: dt.date) -> TariffVersion | None:
        """Return the version of a day of the city, None if there is none."""
        for version in reversed(self.versions):
            if version.from_date <= date:
                return version if date <= version.until_date else None
        return None

    def at(self, at_ms: int) -> tuple[Moment, TariffVersion | None]:
        """Return a moment and the version that holds then: the fare of the time of the tap."""
        local = dt.datetime.fromtimestamp(at_ms // MS, self.zone)
        date = local.date()
        version = self.version_on(date)
        time_s = local.hour * 3_600 + local.minute * 60 + local.second
        early = version is not None and time_s < version.day_start_s
        service_date = date - dt.timedelta(days=1) if early else date
        return Moment(at_ms=at_ms, date=date, time_s=time_s, service_date=service_date), version


def build_tariff(feeds: Iterable[FareTables]) -> Tariff:
    """Return the tariff of one or more feeds; each brings its versions.

    Raises:
        ValueError: if there is no feed, or days of two versions overlap, or zones or currencies differ.
    """
    tables = list(feeds)
    if not tables:
        raise ValueError("a tariff needs the fares of one feed at least")
    for name, values in (("time_zone", {t.time_zone for t in tables}), ("currency", {t.currency for t in tables})):
        if len(values) > 1:
            raise ValueError(f"{name} must be the same in all feeds of a tariff: {', '.join(sorted(values))}")
    versions = [TariffVersion(one, version) for one in tables for version in one.versions]
    versions.sort(key=lambda version: version.from_date)
    for before, after in itertools.pairwise(versions):
        if after.from_date <= before.until_date:
            raise ValueError(
                f"versions must not overlap: {after.version_id} from {after.from_date}, "
                f"{before.version_id} until {before.until_date}"
            )
    return Tariff(
        currency=tables[0].currency,
        zone=ZoneInfo(tables[0].time_zone),
        versions=tuple(versions),
        product_names={price.fare_product_id: price.name for one in tables for price in one.prices if price.name},
        category_names={one.rider_category_id: one.name for table in tables for one in table.categories},
    )


def runs_on(service: ServiceDays, date: dt.date) -> bool:
    """Return whether a service has a date."""
    if date in service.added or date in service.removed:
        return date in service.added
    within = (service.from_date or dt.date.max) <= date <= (service.until_date or dt.date.min)
    return within and date.weekday() in service.weekdays


def window(cap: Cap, moment: Moment) -> dt.date:
    """Return the first day of the period of a cap that a moment is in."""
    return moment.service_date if cap.period is CapPeriod.DAY else moment.week


def _passes_of(tables: FareTables, product_id: str) -> tuple[PassProduct, ...]:
    return tuple(product for product in tables.passes if product.fare_product_id == product_id)


def _of_version(rows: Iterable[_Row], version_id: str) -> list[_Row]:
    """Return the rows for a version; those of that version alone come last, so that they win."""
    return sorted((row for row in rows if row.version_id in {"", version_id}), key=lambda row: bool(row.version_id))


def _amounts(
    tables: FareTables, version_id: str, types: Mapping[str, MediaType]
) -> dict[tuple[str, str, MediaType], int]:
    """Return the listed amounts by product, category ("": all) and type of medium; of two media the cheaper counts."""
    rows = {
        (price.fare_product_id, price.rider_category_id, price.fare_media_id): price.amount_tiyn
        for of in ("", version_id)
        for price in tables.prices
        if price.version_id == of
    }
    found: dict[tuple[str, str, MediaType], int] = {}
    for (product_id, category, medium), amount in rows.items():
        if medium:
            key = (product_id, category, types[medium])
            found[key] = min(amount, found.get(key, amount))
    for (product_id, category, medium), amount in rows.items():
        if not medium:
            for media_type in MediaType:
                found.setdefault((product_id, category, media_type), amount)
    return found
