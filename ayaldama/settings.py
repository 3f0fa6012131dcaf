"""What an operator chooses: one frozen ``Settings``, read once, each part handed to the role that needs it.

Here are the keys, their types, defaults and meanings; ``settings_source`` reads them from file and environment.
Whatever an engineer tunes is not here but in a ``parameters`` module beside its algorithm.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from commons.clock import ClockAnchor
from stop_display.server import BoardSettings
from stop_display.stop_page.values import StopPageSettings
from transit.intake.reception import IntakeSettings
from transit.protocols import discover

Port = Annotated[int, Meta(ge=0, le=65_535)]
Positive = Annotated[float, Meta(gt=0)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Count = Annotated[int, Meta(ge=1)]
Secret = Annotated[str, Meta(extra={"secret": True})]  # `ayaldama config` and errors do not show it


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of keys."""


if TYPE_CHECKING:

    class Ports(Section, frozen=True):
        """Port of each protocol."""
else:
    Ports = msgspec.defstruct(
        "Ports",
        [
            (
                name,
                Annotated[
                    Port | Literal["off"],
                    Meta(description=f"Port of the protocol `{name}`; 0: any free one; `off`: not served"),
                ],
                protocol.default_port,
            )
            for name, protocol in discover().items()
        ],
        bases=(Section,),
        kw_only=True,
        frozen=True,
    )


class Gtfs(Section, frozen=True):
    """The planned network."""

    feed: Annotated[
        Path | None, Meta(description="GTFS feed of the city, a zip file or a folder. The demo makes its own")
    ] = None
    cache: Annotated[
        Path | None, Meta(description="Folder of compiled feeds; default: `network` in the data folder")
    ] = None


class Intake(Section, frozen=True):
    """Where trackers report."""

    host: Annotated[str, Meta(description="Address that trackers connect to; `0.0.0.0`: from everywhere")] = "127.0.0.1"
    ports: Ports = Ports()
    connections_max: Annotated[Count, Meta(description="Connections per protocol; one more is refused")] = 20_000
    idle_s: Annotated[Positive, Meta(description="A tracker that says nothing for so many seconds is disconnected")] = (
        900.0
    )
    reports_per_s: Annotated[
        Positive, Meta(description="Reports per second and device, on average; a faster one waits")
    ] = 20.0
    reports_burst: Annotated[
        Count, Meta(description="Reports at once before that average counts (stored-up fixes)")
    ] = 5_000
    failures_per_minute: Annotated[
        Count, Meta(description="Failed sign-ins per minute and address before answers come late")
    ] = 30


class Web(Section, frozen=True):
    """Pages, boards and the public API."""

    host: Annotated[str, Meta(description="Address of pages, boards and API; `0.0.0.0`: from everywhere")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port of pages, boards and API; 0: any free one")] = 8080
    requests_per_s: Annotated[
        Positive, Meta(description="API requests per second and client address, on average; above: status 429")
    ] = 20.0
    requests_burst: Annotated[Count, Meta(description="API requests at once before that average counts")] = 200
    behind_proxy: Annotated[
        bool, Meta(description="Take the client's address from X-Forwarded-For (only behind a proxy that sets it)")
    ] = False
    public_url: Annotated[
        str,
        Meta(
            pattern=r"^$|^https?://[^\s?#]+$",
            description="Address at which telephones and boards reach the pages, `https://…`: what QR codes at stops "
            "and `ayaldama boards` say; "
            "empty: the address that was asked",
        ),
    ] = ""


class BoardsSection(Section, frozen=True):
    """Stop boards."""

    connections_max: Annotated[Count, Meta(description="Boards connected at once; one more is refused")] = 20_000
    connections_per_address: Annotated[
        Count,
        Meta(
            description="Of them, those of one address (IPv6: one /64) that show no key; "
            "mobile operators put many telephones behind one"
        ),
    ] = 2_000
    abbreviations: Annotated[
        Path | None, Meta(description="File of short names for narrow panels (TOML), used before our own")
    ] = None


class FareSection(Section, frozen=True):
    """Fares: validators, inspectors, accounts. A city whose feed has no fares runs without."""

    host: Annotated[
        str, Meta(description="Address that validators and inspectors connect to; `0.0.0.0`: from everywhere")
    ] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port of validators and inspectors; 0: any free one")] = 8070
    seats: Annotated[Count, Meta(description="Seats of a bus, for how full it is")] = 28
    places: Annotated[Count, Meta(description="Riders that a bus has room for, seated and standing")] = 80
    acquirer_host: Annotated[
        str, Meta(description="Host of the acquirer of bank cards (ISO 8583); empty: their rides wait in the books")
    ] = ""
    acquirer_port: Annotated[Port, Meta(description="Port of the acquirer")] = 8583
    merchant_id: Annotated[str, Meta(description="What the acquirer calls us, up to 15 characters")] = "AYALDAMA"


class ValidatorsSection(Section, frozen=True):
    """What every validator of the city goes by."""

    retap_min: Annotated[
        Count, Meta(description="Minutes in which a medium held again on the same bus is one ride")
    ] = 20
    ride_max_min: Annotated[
        Count, Meta(description="Minutes in which it is one ride as long as the bus is on the same trip")
    ] = 120
    list_age_max_h: Annotated[
        Count, Meta(description="Hours for which a deny list is believed; then rides are free, and recorded")
    ] = 72
    offline_rides_max: Annotated[Count, Meta(description="Rides of a medium that a server has not heard of yet")] = 10
    offline_max: Annotated[Count, Meta(description="Tenge of such rides")] = 2_000
    first_rides_max: Annotated[Count, Meta(description="Rides of a medium that no server has seen")] = 1
    first_ride_max: Annotated[Count, Meta(description="Tenge of such a ride")] = 500


class InspectionSection(Section, frozen=True):
    """What inspectors go by."""

    list_age_max_s: Annotated[
        Count, Meta(description="Seconds after which a phone's list of a bus says nothing against a passenger")
    ] = 180
    round_min: Annotated[
        Count, Meta(description="Minutes in which a ride shown to inspectors more often than it was paid for is found")
    ] = 10
    fine: Annotated[Count, Meta(description="Tenge of a protocol")] = 8_650
    appeal_days: Annotated[Count, Meta(description="Days in which a protocol can be appealed")] = 10
    warning_first: Annotated[bool, Meta(description="Whether a protocol needs a warning before it")] = True
    cash_aboard: Annotated[
        bool,
        Meta(description="Whether cash may be paid on buses without a validator; then nobody is said not to have paid"),
    ] = True


class PhoneSection(Section, frozen=True):
    """The page on which passengers pay by phone. A process of its own: validators and SMS go on without it."""

    host: Annotated[str, Meta(description="Address that phones connect to; `0.0.0.0`: from everywhere")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port of the passengers' page; 0: any free one")] = 8072
    codes_per_hour: Annotated[
        Count, Meta(description="One-time codes sent by SMS per hour, in all, to numbers new to a browser")
    ] = 3_000
    code_operator: Annotated[
        str, Meta(description="Mobile operator through which one-time codes are sent; empty: nobody can sign in anew")
    ] = ""
    code_from: Annotated[str, Meta(description="Short code that one-time codes come from")] = ""


class BanksSection(Section, frozen=True):
    """Banks by which riders top up. One that is not set is not offered, and cannot reach us."""

    hooks_url: Annotated[str, Meta(description="Address at which banks reach us (`https://…`), without `/banks/…`")] = (
        ""
    )
    return_url: Annotated[str, Meta(description="Page to which a bank's page leads back")] = ""
    redirect_url: Annotated[str, Meta(description="Gateway with a page of its own; empty: none")] = ""
    redirect_key: Annotated[Secret, Meta(description="Key by which that gateway knows us")] = ""
    redirect_secrets: Annotated[
        Secret, Meta(description="Secrets of its webhooks that are in force (`whsec_…`), with blanks between")
    ] = ""
    epay_url: Annotated[str, Meta(description="API of Halyk ePay, `https://epay-api.homebank.kz`; empty: none")] = ""
    epay_oauth_url: Annotated[str, Meta(description="Where its tokens come from, `https://epay-oauth.homebank.kz`")] = (
        ""
    )
    epay_client: Annotated[str, Meta(description="What ePay calls us (ClientID)")] = ""
    epay_secret: Annotated[Secret, Meta(description="Our secret at ePay (ClientSecret)")] = ""
    epay_terminal: Annotated[str, Meta(description="Our terminal at ePay, one that takes payments in one step")] = ""
    kaspi_secret: Annotated[Secret, Meta(description="Secret of Kaspi's signatures; empty: Kaspi is not served")] = ""
    kaspi_addresses: Annotated[
        str, Meta(description="Addresses and networks that Kaspi asks from, with blanks between")
    ] = ""
    kaspi_operation_digits: Annotated[
        int, Meta(ge=6, le=18, description="Digits of Kaspi's operations; others are refused")
    ] = 10
    top_up_min: Annotated[Count, Meta(description="Tenge that a rider tops up at least")] = 100
    top_up_max: Annotated[Count, Meta(description="Tenge that a rider tops up at once")] = 20_000
    top_up_day_max: Annotated[Count, Meta(description="Tenge that a rider tops up within 24 hours")] = 50_000


class SmsSection(Section, frozen=True):
    """Short messages of riders. A process of its own: validators and phones go on without it."""

    host: Annotated[
        str, Meta(description="Address that operators' HTTP gateways connect to; `0.0.0.0`: from everywhere")
    ] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port of operators' HTTP gateways; 0: any free one")] = 8074
    short_codes: Annotated[
        str,
        Meta(
            pattern="^[0-9]{3,8}( [0-9]{3,8})*$",
            description="Numbers that riders write to, with blanks between; messages to others are not answered",
        ),
    ] = "2505"
    gateways: Annotated[
        Path | None,
        Meta(
            description="File of what was agreed with mobile operators, passwords included "
            "(`docs/sms-gateways.md`); empty: no SMS"
        ),
    ] = None


class MetricsSection(Section, frozen=True):
    """Prometheus metrics of a role that runs alone (`serve intake`); the web's `/metrics` has all of one machine."""

    host: Annotated[str, Meta(description="Address of the metrics page of a single role")] = "127.0.0.1"
    port: Annotated[
        Port | Literal["off"], Meta(description="Port of the metrics page of a single role; `off`: none")
    ] = "off"


class ClockSection(Section, frozen=True):
    """City time. Only a replay or a demo in fast motion sets it."""

    wall_ms: Annotated[int, Meta(description="Wall-clock moment (epoch ms) at which city time was `clock.city_ms`")] = 0
    city_ms: Annotated[int, Meta(description="City time (epoch ms) at the moment `clock.wall_ms`")] = 0
    rate: Annotated[Positive, Meta(description="Seconds of city time that pass in one second")] = 1.0


class SettlementSection(Section, frozen=True):
    """What was agreed with carriers, and who may give money back alone."""

    commission_transport_card: Annotated[
        Percent, Meta(description="Percent kept of what is paid by transport card")
    ] = 0.0
    commission_bank_card: Annotated[Percent, Meta(description="Percent kept of what is paid by bank card")] = 0.0
    commission_phone: Annotated[Percent, Meta(description="Percent kept of what is paid by phone")] = 0.0
    commission_sms: Annotated[Percent, Meta(description="Percent kept of what is paid by SMS")] = 0.0
    refund_alone: Annotated[
        int, Meta(ge=0, description="Tenge that one person gives back within 24 hours; above, a second one approves")
    ] = 1_000
    write_off_alone_tiyn: Annotated[
        int, Meta(ge=0, description="Tiyn of a debt that one person gives up at a time; above, a second one approves")
    ] = 50_000
    write_off_day_tiyn: Annotated[
        int,
        Meta(ge=0, description="Tiyn of debts that one person gives up within 24 hours; above, a second one approves"),
    ] = 200_000
    acquirer: Annotated[str, Meta(description="Account of the acquirer: `acquirer:<this>`")] = "main"
    bank: Annotated[str, Meta(description="Account that carriers are paid from: `bank:<this>`")] = "main"


class Demo(Section, frozen=True):
    """The simulated city of `ayaldama demo`."""

    buses: Annotated[int, Meta(ge=1, le=2_000, description="Simulated buses at the busiest hour")] = 200
    seed: Annotated[int, Meta(ge=0, description="Same seed, same traffic")] = 1
    start: Annotated[
        Literal["auto", "now", "morning", "evening"],
        Meta(description="City time at the start: now, 08:00 or 18:00; `auto`: now by day, 08:00 at night"),
    ] = "auto"
    speed: Annotated[float, Meta(gt=0, le=60, description="Seconds of city time that pass in one second")] = 1.0
    passengers: Annotated[
        float,
        Meta(
            ge=0, le=5, description="Passengers who tap, as a multiple of those that buses wait for; 0: no validators"
        ),
    ] = 1.0
    sms_port: Annotated[Port, Meta(description="Port of the page with telephones that send SMS; 0: any free one")] = (
        8076
    )
    smpp_port: Annotated[Port, Meta(description="Port of the simulated message centre (SMPP)")] = 2775


class Settings(Section, frozen=True):
    """All there is to choose."""

    city: Annotated[
        str,
        Meta(
            pattern="^[a-z0-9][a-z0-9_-]{0,31}$",
            description="Short name of the city in Redis keys; systems that share servers need different ones",
        ),
    ] = "kzo"
    data_folder: Annotated[Path, Meta(description="Folder of all data: embedded servers, compiled feeds, logs")] = Path(
        ".data"
    )
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Meta(description="Least important log lines that are written")
    ] = "INFO"
    redis_url: Annotated[
        str,
        Meta(
            pattern="^$|^(redis|rediss|unix)://",
            description="Redis or Valkey server (`redis://`, `rediss://` or `unix://`); empty: an embedded Valkey",
        ),
    ] = ""
    postgres_url: Annotated[
        str,
        Meta(
            pattern="^$|^postgres(ql)?://",
            description="PostgreSQL database (`postgresql://`); empty: an embedded PostgreSQL",
        ),
    ] = ""
    gtfs: Gtfs = Gtfs()
    intake: Intake = Intake()
    web: Web = Web()
    boards: BoardsSection = BoardsSection()
    fare: FareSection = FareSection()
    validators: ValidatorsSection = ValidatorsSection()
    inspection: InspectionSection = InspectionSection()
    phone: PhoneSection = PhoneSection()
    banks: BanksSection = BanksSection()
    sms: SmsSection = SmsSection()
    metrics: MetricsSection = MetricsSection()
    clock: ClockSection = ClockSection()
    settlement: SettlementSection = SettlementSection()
    demo: Demo = Demo()

    @property
    def network_cache(self) -> Path:
        """Folder of compiled feeds."""
        return self.gtfs.cache or self.data_folder / "network"

    @property
    def clock_anchor(self) -> ClockAnchor | None:
        """City time as all processes of this system share it; None: the wall's."""
        clock = self.clock
        if clock == ClockSection():
            return None
        return ClockAnchor(wall_ms=clock.wall_ms, city_ms=clock.city_ms, rate=clock.rate)

    @property
    def for_boards(self) -> BoardSettings:
        """The part of the boards role."""
        boards, public_url = self.boards, self.web.public_url
        return BoardSettings(
            boards_max=boards.connections_max,
            boards_per_address=boards.connections_per_address,
            abbreviations=boards.abbreviations,
            public_url=public_url,
        )

    @property
    def for_stop_pages(self) -> StopPageSettings:
        """The part of the pages of stops."""
        sms_code = self.sms.short_codes.split()[0] if self.sms.gateways is not None else ""
        return StopPageSettings(public_url=self.web.public_url, sms_code=sms_code)

    @property
    def for_intake(self) -> IntakeSettings:
        """The part of the intake role."""
        intake = self.intake
        ports = {name: port for name, port in msgspec.structs.asdict(intake.ports).items() if port != "off"}
        return IntakeSettings(
            ports=ports,
            host=intake.host,
            connections_max=intake.connections_max,
            idle_s=intake.idle_s,
            reports_per_s=intake.reports_per_s,
            reports_burst=intake.reports_burst,
            failures_per_minute=intake.failures_per_minute,
        )


def to_json(settings: Settings) -> bytes:
    """Return ``settings`` for another process of ours; it holds passwords."""
    return msgspec.json.encode(settings, enc_hook=_plain)


def from_json(data: bytes) -> Settings:
    """Return what ``to_json`` wrote."""
    return msgspec.json.decode(data, type=Settings, dec_hook=read_path)


def read_path(kind: type, value: Any) -> Any:
    """Read a path (msgspec ``dec_hook``).

    Raises:
        TypeError: if ``value`` is no text, which msgspec turns into a ``ValidationError`` of the key.
    """
    if kind is Path and isinstance(value, str):
        return Path(value).expanduser()
    raise TypeError(f"{value!r} is no {kind.__name__}")


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a setting of type {type(value).__name__} cannot be handed to another process")
