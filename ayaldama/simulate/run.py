"""The simulator as a role: moves the buses by the city's clock, lets their units speak, watches boards, tells figures.

Everything follows from seed and clock: a simulator that was killed works out anew what has happened since the demo
began and goes on with the same buses at the same places.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import aiohttp
import msgspec
import numpy as np
import pyproj
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ayaldama.demo_fares import DemoFares
from ayaldama.simulate.city import bus_id, motion_at, motion_of, roster_date
from ayaldama.simulate.motion import OFF, STEP_MS, Motion, Passages
from ayaldama.simulate.passengers import Crowd, holders
from ayaldama.simulate.scoring import Place, Scoring
from ayaldama.simulate.trackers import Fixes, Units
from ayaldama.simulate.validators import TapFigures, Validators, ValidatorsSettings, open_validators
from ayaldama.simulate.wire import Fix, OsmAndUnit, WialonUnit
from commons.clock import Clock, monotonic_s
from commons.logs import get_logger
from commons.metrics import Metrics
from gtfs_data.network import Network
from stop_display.client import BoardClient
from stop_display.model import Change, Line, Snapshot
from transit.keys import Keys
from transit.tracking.parameters import Parameters

GUEST: Final = "guest"  # a device whose key is shown to everybody who opens the demo
TELEPHONES: Final = 3  # every third bus has a telephone instead of a tracker
WATCHED: Final = 24  # boards
FIGURES_S: Final = 2.0
RATE_S: Final = 10.0
SILENT_MS: Final = round(1_000 * Parameters().stale_s)
HELD_UP_MAX: Final = 5_000  # seconds remembered in which a fix was held up

_log = get_logger(__name__)


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """From fix to board, in milliseconds."""

    p50: int
    p99: int


class Guest(msgspec.Struct, frozen=True, kw_only=True):
    """A device that anybody may be."""

    port: int
    device_id: str
    key: str


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo has measured lately against the simulator's truth."""

    as_of_ms: int
    buses: int
    positions_per_s: float
    mae_s_by_horizon: dict[str, float]
    within_bounds_pct: float | None
    phantoms_pct: float | None
    judged: int
    fix_to_board_ms: Delay | None
    guest: Guest | None
    taps: TapFigures | None
    fares: DemoFares | None
    fare_port: int
    sms_port: int  # 0: no telephones


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """How many buses, where they report, which boards to watch. ``started_ms``: city time at which the demo began."""

    buses: int
    seed: int
    started_ms: int
    host: str
    wialon_port: int
    osmand_port: int
    boards_url: str
    device_keys: Mapping[str, str]
    passengers: float = 0.0  # who tap, as a multiple of those that board; 0: there are no validators
    validators: ValidatorsSettings | None = None
    fares: DemoFares | None = None
    fare_port: int = 0
    sms_port: int = 0


def vehicle_ids(buses: int) -> list[str]:
    """Return the devices that a demo of ``buses`` needs; each is the vehicle of the same name."""
    return [*(bus_id(bus) for bus in range(buses)), GUEST]


async def serve_simulator(
    settings: SimulatorSettings,
    *,
    network: Network,
    redis: Redis,
    keys: Keys,
    clock: Clock,
    metrics: Metrics,
    stop: asyncio.Event,
) -> None:
    """Drive until ``stop``."""
    motion = await asyncio.to_thread(
        motion_at,
        network,
        buses=settings.buses,
        seed=settings.seed,
        began_ms=settings.started_ms,
        now_ms=clock.now_ms(),
    )
    _log.info("buses ready", buses=len(motion), out=len(motion.visible))
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=10), connector=aiohttp.TCPConnector(limit=0)
    ) as http:
        city = _City(settings, network, motion, clock, http)
        async with _validators(settings, motion, clock) as validators, asyncio.TaskGroup() as tasks:
            city.validators = validators
            working = [tasks.create_task(unit.run()) for unit in city.units]
            working += [tasks.create_task(city.watch(stop_id)) for stop_id in watched_stops(network, WATCHED)]
            working += [
                tasks.create_task(city.drive(), name="drive"),
                tasks.create_task(city.tell(redis, keys, metrics), name="figures"),
            ]
            await stop.wait()
            for task in working:
                task.cancel()


@asynccontextmanager
async def _validators(settings: SimulatorSettings, motion: Motion, clock: Clock) -> AsyncIterator[Validators | None]:
    """Run a validator on each bus, if there are any; the screen shown is that of a bus that is out."""
    if settings.validators is None or not settings.passengers:
        yield None
        return
    ids = vehicle_ids(settings.buses)[: len(motion)]
    out = motion.visible
    shown = ids[int(out[0])] if len(out) else ids[0]
    chosen = replace(settings.validators, screen_vehicle=shown)
    async with open_validators(chosen, ids, clock=clock) as validators:
        yield validators


def watched_stops(network: Network, count: int) -> Sequence[str]:
    """Return stops all over the city, busy ones and quiet ones."""
    served = [stop for stop, rows in enumerate(network.rows_of_stop) if len(rows)]
    by_busyness = sorted(served, key=lambda stop: (-len(network.rows_of_stop[stop]), network.stops.ids[stop]))
    step = max(len(by_busyness) // count, 1)
    return [network.stops.ids[stop] for stop in by_busyness[::step][:count]]


class _City:
    """Joins the buses, their units, the boards and the score."""

    def __init__(
        self,
        settings: SimulatorSettings,
        network: Network,
        motion: Motion,
        clock: Clock,
        http: aiohttp.ClientSession,
    ) -> None:
        self._settings, self._network, self._motion, self._clock = settings, network, motion, clock
        rng = np.random.default_rng((settings.seed, 1))
        self._trackers = Units(settings.buses, rng)
        self._ids = vehicle_ids(settings.buses)[:-1]
        self._to_degrees = pyproj.Transformer.from_crs(network.epsg, 4326, always_xy=True)
        self._held: dict[int, Fix] = {}  # fixes that come one packet late
        self._held_up: dict[int, None] = {}  # seconds in which some fix was made that we sent late on purpose
        self._sent: deque[tuple[float, int]] = deque(maxlen=1_000)
        self._scoring = Scoring()
        self._shown: dict[str, dict[str, Line]] = {}  # stop id → line key → line
        self._crowd = Crowd(holders(settings.seed), np.random.default_rng((settings.seed, 3)))
        self.validators: Validators | None = None
        self.units = [self._unit(i, http) for i in range(settings.buses)]

    def _unit(self, number: int, http: aiohttp.ClientSession) -> WialonUnit | OsmAndUnit:
        settings, device_id = self._settings, self._ids[number]
        key = settings.device_keys[device_id]
        if number % TELEPHONES == 0:
            url = f"http://{settings.host}:{settings.osmand_port}/"
            return OsmAndUnit(device_id, key, url=url, session=http)
        return WialonUnit(
            device_id,
            key,
            host=settings.host,
            port=settings.wialon_port,
            clock=self._clock,
            checked=number % 4 != 1,  # a quarter of them are old and speak 1.1
        )

    async def drive(self) -> None:
        """Move the buses as city time passes, and hand their fixes to the units."""
        clock, zone = self._clock, self._network.time_zone
        today = roster_date(self._motion.now_ms, zone)
        while True:
            while self._motion.now_ms + STEP_MS <= clock.now_ms():
                self._judge(self._motion.step())
                self._report()
                await asyncio.sleep(0)
                if roster_date(self._motion.now_ms, zone) != today:
                    today = roster_date(self._motion.now_ms, zone)
                    await self._begin_day()
            await clock.sleep((self._motion.now_ms + STEP_MS - clock.now_ms()) / 1000)

    async def _begin_day(self) -> None:
        """Give out the duties of a new day."""
        settings, start_ms = self._settings, self._motion.now_ms
        self._motion = await asyncio.to_thread(
            motion_of, self._network, buses=settings.buses, seed=settings.seed, start_ms=start_ms
        )
        _log.info("a new day", buses=len(self._motion))

    def _judge(self, passages: Passages) -> None:
        patterns = self._network.patterns
        for bus, row, arrival_ms, departure_ms in zip(
            passages.bus.tolist(),
            passages.row.tolist(),
            passages.arrival_ms.tolist(),
            passages.departure_ms.tolist(),
            strict=True,
        ):
            pattern = int(self._network.pattern_of_row[row])
            begins = row == int(patterns.first[pattern])
            stop_id = self._network.stops.ids[int(patterns.stop[row])]
            place = (self._ids[bus], stop_id, int(patterns.stop_sequence[row]))
            self._scoring.arrived(place, departure_ms if begins else arrival_ms)
        if self.validators is not None:
            for bus, boarded in zip(passages.bus.tolist(), passages.boarded.tolist(), strict=True):
                self.validators.board(self._ids[bus], self._crowd.board(boarded * self._settings.passengers))

    def _report(self) -> None:
        motion = self._motion
        out = motion.visible
        if not len(out):
            return
        xy, heading = motion.place(out)
        fixes = self._trackers.take(out, xy, motion.speed[out], heading, motion.now_ms)
        self._sent.append((monotonic_s(), len(fixes.bus)))
        for unit, bus in ((self.units[bus], bus) for bus in out.tolist()):
            online = unit.memory.online
            if self._trackers.offline_until_ms[bus] > motion.now_ms:
                online.clear()
            elif not online.is_set():
                online.set()
        self._offer(fixes)

    def _offer(self, fixes: Fixes) -> None:
        lon, lat = self._to_degrees.transform(fixes.xy[:, 0], fixes.xy[:, 1])
        for i, bus in enumerate(fixes.bus.tolist()):
            route, direction = self._motion.route_of(bus) if self._trackers.tells_line[bus] else ("", -1)
            fix = Fix(
                fix_ms=int(fixes.fix_ms[i]),
                lat=float(lat[i]),
                lon=float(lon[i]),
                speed_mps=float(fixes.speed_mps[i]),
                heading_deg=float(fixes.heading_deg[i]),
                route=route,
                direction=direction,
            )
            if fixes.late[i] or self._trackers.offline_until_ms[bus] > self._motion.now_ms:
                self._remember_held_up(fix.fix_ms)
            unit, held = self.units[bus], self._held.pop(bus, None)
            if fixes.late[i] and held is None:
                self._held[bus] = fix
                continue
            unit.offer(fix)
            if fixes.repeated[i]:
                unit.offer(fix)
            if held is not None:
                unit.offer(held)

    def _remember_held_up(self, fix_ms: int) -> None:
        self._held_up[fix_ms] = None
        if len(self._held_up) > HELD_UP_MAX:
            del self._held_up[next(iter(self._held_up))]

    async def watch(self, stop_id: str) -> None:
        """Be the board of a stop."""
        # Which board waits how long before it connects again is no secret and needs no strong randomness.
        jitter = random.Random(stop_id)  # noqa: S311
        client = BoardClient(self._settings.boards_url, [stop_id], board=f"demo-{stop_id}", jitter=jitter)
        async for message in client.messages():
            now_ms = self._clock.now_ms()
            if isinstance(message, Snapshot):
                self._shown[stop_id] = {line.key: line for line in message.board.lines}
            elif isinstance(message, Change):
                self._shown[stop_id].update({line.key: line for line in message.lines})
                if message.fix_ms is not None and self._tells_delay(message.fix_ms, now_ms):
                    self._scoring.received((now_ms - message.fix_ms) / self._clock.rate)
                client.ack(message.sequence, now_ms)

    def _tells_delay(self, fix_ms: int, now_ms: int) -> bool:
        """Say whether a change tells how long the system took.

        It does not when the simulated mobile network held up a fix of that second, nor when the fix is so old that its
        bus was taken off the board for silence; a server that is away counts.
        """
        return fix_ms not in self._held_up and now_ms - fix_ms < SILENT_MS

    def _sample(self, now_ms: int) -> None:
        """Note what all watched boards show now."""
        for stop_id, lines in self._shown.items():
            for arrival in (arrival for line in lines.values() for arrival in line.arrivals):
                if arrival.vehicle:
                    place: Place = (arrival.vehicle, stop_id, int(arrival.key.rsplit("|", 1)[1]))
                    self._scoring.said(place, arrival.key, now_ms, arrival.arrival_ms)

    async def tell(self, redis: Redis, keys: Keys, metrics: Metrics) -> None:
        """Write the figures every two seconds."""
        while True:
            await asyncio.sleep(FIGURES_S)
            self._sample(self._clock.now_ms())
            self._scoring.forget(self._clock.now_ms())
            try:
                await redis.set(keys.demo, msgspec.json.encode(self._figures()), ex=60)
            except (RedisError, OSError) as error:
                metrics.count("role_errors_total", role="simulator", where="figures")
                _log.warning("figures wait for Redis", error=str(error))

    def _figures(self) -> Figures:
        since_s = monotonic_s() - RATE_S
        sent = sum(count for at_s, count in self._sent if at_s >= since_s)
        delay = self._scoring.delay_ms()
        key = self._settings.device_keys.get(GUEST)
        return Figures(
            as_of_ms=self._clock.now_ms(),
            buses=int(np.count_nonzero(self._motion.state != OFF)),
            positions_per_s=round(sent / RATE_S, 1),
            mae_s_by_horizon=self._scoring.mae_s(),
            within_bounds_pct=self._scoring.within_bounds_pct(),
            phantoms_pct=self._scoring.phantoms_pct(),
            judged=self._scoring.judged,
            fix_to_board_ms=Delay(p50=delay[0], p99=delay[1]) if delay else None,
            taps=self.validators.figures() if self.validators is not None else None,
            fares=self._settings.fares,
            fare_port=self._settings.fare_port,
            sms_port=self._settings.sms_port,
            guest=Guest(port=self._settings.osmand_port, device_id=GUEST, key=key) if key else None,
        )
