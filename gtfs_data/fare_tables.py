"""The fare tables of a feed as values: GTFS Fares v2 and our own files beside them (docs/tariff.md).

Names are those of the GTFS reference; an empty id means what an empty field means there. Amounts are hundredths of the
currency (tiyn), dates ISO days of the city, times seconds of the day. One ``FareTables`` is also the document that
validators get, so it needs nothing but msgspec.
"""

import datetime as dt
import enum
from collections.abc import Mapping

import msgspec


class MediaType(enum.IntEnum):
    """``fare_media_type`` of fare_media.txt."""

    NONE = 0  # cash
    PAPER = 1
    TRANSIT_CARD = 2
    CONTACTLESS = 3  # bank cards and what acts as one
    MOBILE_APP = 4


class TransferType(enum.IntEnum):
    """``fare_transfer_type`` of fare_transfer_rules.txt: what a journey of two legs A and B costs."""

    FROM_AND_TRANSFER = 0  # A + AB
    FROM_TRANSFER_AND_TO = 1  # A + AB + B
    TRANSFER = 2  # AB


class CapPeriod(enum.StrEnum):
    """For how long the fares under a cap are added up."""

    DAY = enum.auto()  # a service day
    WEEK = enum.auto()  # Monday to Sunday, service days


class PassUnit(enum.StrEnum):
    """What the length of a pass counts."""

    HOURS = enum.auto()  # from the first moment on
    DAYS = enum.auto()  # service days, the first one included
    CALENDAR_MONTH = enum.auto()


class Category(msgspec.Struct, frozen=True, kw_only=True):
    """A row of rider_categories.txt."""

    rider_category_id: str
    name: str
    default: bool


class FareMedium(msgspec.Struct, frozen=True, kw_only=True):
    """A row of fare_media.txt."""

    fare_media_id: str
    name: str
    media_type: MediaType


class ProductPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A row of fare_products.txt, or one of fare_version_amounts.txt: then ``version_id`` says when it holds."""

    fare_product_id: str
    name: str
    rider_category_id: str  # "": all
    fare_media_id: str  # "": all
    amount_tiyn: int
    version_id: str = ""


class LegRule(msgspec.Struct, frozen=True, kw_only=True):
    """A row of fare_leg_rules.txt."""

    leg_group_id: str
    network_id: str
    from_area_id: str
    to_area_id: str
    from_timeframe_group_id: str
    to_timeframe_group_id: str
    fare_product_id: str
    priority: int


class LegJoinRule(msgspec.Struct, frozen=True, kw_only=True):
    """A row of fare_leg_join_rules.txt."""

    from_network_id: str
    to_network_id: str
    from_stop_id: str
    to_stop_id: str


class TransferRule(msgspec.Struct, frozen=True, kw_only=True):
    """A row of fare_transfer_rules.txt."""

    from_leg_group_id: str
    to_leg_group_id: str
    transfers_max: int  # -1: any number
    duration_limit_s: int  # 0: none
    transfer_type: TransferType
    fare_product_id: str


class Timeframe(msgspec.Struct, frozen=True, kw_only=True):
    """A row of timeframes.txt; ``until_s`` is not within it any more."""

    timeframe_group_id: str
    from_s: int
    until_s: int
    service_id: str


class ServiceDays(msgspec.Struct, frozen=True, kw_only=True):
    """The dates of a service that timeframes name."""

    service_id: str
    weekdays: tuple[int, ...]  # Monday is 0
    from_date: dt.date | None
    until_date: dt.date | None
    added: frozenset[dt.date]
    removed: frozenset[dt.date]


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A row of fare_versions.txt: the days on which the tables hold, both included."""

    version_id: str
    from_date: dt.date | None
    until_date: dt.date | None
    day_start_s: int = 0  # a service day begins at this time and lasts until it comes again


class Cap(msgspec.Struct, frozen=True, kw_only=True):
    """A row of fare_caps.txt: nobody pays more than this in a period, on one and the same medium."""

    cap_id: str
    period: CapPeriod
    amount_tiyn: int
    rider_category_id: str = ""  # "": all, as in the next two
    fare_media_id: str = ""
    network_id: str = ""
    version_id: str = ""


class PassProduct(msgspec.Struct, frozen=True, kw_only=True):
    """A row of fare_passes.txt: a product that is bought once and then rides for nothing."""

    fare_product_id: str
    unit: PassUnit
    length: int
    network_id: str = ""  # "": all


class ConcessionRule(msgspec.Struct, frozen=True, kw_only=True):
    """A row of fare_concessions.txt: what a category pays. Its row of fare_products.txt, if it has one, goes first."""

    rider_category_id: str
    share_percent: int = 100  # of the full fare, rounded down to whole tiyn
    fixed_tiyn: int = -1  # instead of the share; -1: there is none
    free_rides_per_day: int = 0  # the first ones of a service day
    paid_by: str = ""  # who pays the rest; "": nobody
    proof: bool = True  # only who has shown a document, and one rider on a tap
    ends_at_age: int = 0  # 0: never
    version_id: str = ""


class Multiplier(msgspec.Struct, frozen=True, kw_only=True):
    """A row of fare_multipliers.txt: lines of a network cost this share of the fare."""

    network_id: str
    percent: int
    version_id: str = ""


class FareTables(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, checked: every id that is named exists, every amount is in one currency."""

    content_hash: str  # of the feed
    time_zone: str
    currency: str
    versions: tuple[Version, ...]
    categories: tuple[Category, ...]
    media: tuple[FareMedium, ...]
    prices: tuple[ProductPrice, ...]
    leg_rules: tuple[LegRule, ...]
    leg_rules_have_priority: bool  # without rule_priority an empty field means all that no other row names
    leg_join_rules: tuple[LegJoinRule, ...] = ()
    transfer_rules: tuple[TransferRule, ...] = ()
    timeframes: tuple[Timeframe, ...] = ()
    services: tuple[ServiceDays, ...] = ()
    area_names: Mapping[str, str] = {}
    network_names: Mapping[str, str] = {}
    stop_areas: Mapping[str, tuple[str, ...]] = {}  # sorted
    route_networks: Mapping[str, str] = {}
    caps: tuple[Cap, ...] = ()
    passes: tuple[PassProduct, ...] = ()
    concessions: tuple[ConcessionRule, ...] = ()
    multipliers: tuple[Multiplier, ...] = ()
