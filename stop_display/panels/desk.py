"""The desk of the fleet in one web process: who a key belongs to, what each panel is told, what it reported.

The registry is held in memory and follows PostgreSQL by LISTEN, so thousands of boards can come back at once. Reports
are shared through PostgreSQL every ``SHARE_S`` and delays every ``SHARE_DELAYS_S``, so every web process of a city can
show all boards; while the database is away, the desk goes on with what it knows. Silence is measured by the wall, hours
by city time.
"""

import asyncio
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

import asyncpg
import msgspec

from commons.clock import Clock, monotonic_s, wall_ms
from commons.logs import get_logger
from commons.metrics import Metrics
from commons.texts import load_catalogue
from gtfs_data.calendar import utc_offset_s
from stop_display.model import StopBoard
from stop_display.panels import store
from stop_display.panels.delays import EVERY_BOARD, SLOT_MS, Counts, Delays, bin_of, last_hour, no_counts, slot_of
from stop_display.panels.judgement import Judgement, RemarkCode, Standing, judge
from stop_display.panels.model import Configuration, KeyProblem, Panel, PanelHealth, Report, hours_of
from stop_display.panels.truth import Now, differences, phrases_of
from transit.intake.limits import FailureLimit

REPORT_EVERY_S: Final = 45.0  # give or take a third, so that boards do not come together
SHARE_S: Final = 2.0
SHARE_DELAYS_S: Final = 10.0  # each board that paints is a row written again
REFRESH_S: Final = 60.0  # also without a notice, in case one was lost
FIGURES_S: Final = 15.0
FORGET_S: Final = 600.0
PAUSE_S: Final = 2.0
WRONG_KEYS_PER_MINUTE: Final = 30
REPORT_MIN_S: Final = 2.0  # a panel that reports more often is asked to wait

_log = get_logger(__name__)
_encoder: Final = msgspec.json.Encoder()


@dataclass(slots=True, eq=False)
class Screen:
    """One connection of a panel. ``tell`` hands it a message, ``turn_away`` ends the conversation."""

    name: str
    tell: Callable[[str], None] = field(repr=False)
    turn_away: Callable[[KeyProblem], None] = field(repr=False)


class PanelDesk:
    """Run ``run`` for as long as boards are served. ``version``: of the page as it is served."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        time_zone: str,
        version: str,
        clock: Clock,
        metrics: Metrics,
        report_every_s: float = REPORT_EVERY_S,
    ) -> None:
        self._pool = pool
        self._zone = time_zone
        self._version = version
        self._clock = clock
        self._metrics = metrics
        self._report_every_s = report_every_s
        self._up_ms = wall_ms()
        self._by_name: Mapping[str, Panel] = {}
        self._by_digest: Mapping[bytes, Panel] = {}
        self._screens: defaultdict[str, set[Screen]] = defaultdict(set)
        self._wrong = FailureLimit(WRONG_KEYS_PER_MINUTE)
        self._phrases = phrases_of(load_catalogue("stop_display"))
        self._reports: dict[str, Report] = {}
        self._reports_to_keep: set[str] = set()
        self._reports_serial = 0
        self._counted_by = secrets.token_hex(8)
        self._delays: dict[store.Slot, Counts] = {}
        self._counting: dict[store.Slot, Counts] = {}
        self._delays_to_keep: set[store.Slot] = set()
        self._delays_serial = 0

    async def load(self) -> None:
        """Read the registry, so that no board is turned away because we have just started.

        Raises:
            OSError, asyncpg.PostgresError: if it cannot be read.
        """
        self._replace(await store.list_panels(self._pool))

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the registry, share what is known, tell metrics, until ``stop``."""
        async with asyncio.TaskGroup() as tasks:
            working = [
                tasks.create_task(self._follow(), name="panels-follow"),
                tasks.create_task(self._repeat(self._share, SHARE_S, "share"), name="panels-share"),
                tasks.create_task(self._repeat(self._share_delays, SHARE_DELAYS_S, "delays"), name="panels-delays"),
                tasks.create_task(self._repeat(self._tell_figures, FIGURES_S, "figures"), name="panels-figures"),
                tasks.create_task(self._repeat(self._forget, FORGET_S, "forget"), name="panels-forget"),
            ]
            await stop.wait()
            for task in working:
                task.cancel()
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):  # what is not shared comes again
            await self._share()
            await self._share_delays()

    # Keys and configurations

    def admit(self, key: str, address: str) -> Panel | KeyProblem:
        """Return whose key it is. Right keys are always taken, whatever else comes from their ``address``."""
        panel = self._by_digest.get(store.digest_of(key))
        if panel is not None and not panel.revoked:
            return panel
        problem = KeyProblem.UNKNOWN_KEY if panel is None else KeyProblem.REVOKED_KEY
        if self._wrong.failed(address, monotonic_s()):
            problem = KeyProblem.TOO_MANY_WRONG
        else:
            _log.warning("key of a board refused", reason=problem, address=address, panel=panel.name if panel else "")
        self._metrics.count("boards_panel_keys_refused_total", reason=problem)
        return problem

    def panels(self) -> list[Panel]:
        """Return the panels that are registered and not revoked, by name."""
        return [panel for panel in self._by_name.values() if not panel.revoked]

    def configuration(self, panel: Panel) -> Configuration:
        """Return what a panel is told."""
        return Configuration(
            server_ms=self._clock.now_ms(),
            name=panel.name,
            address=address_of(panel),
            volume=panel.config.volume,
            hours=hours_of(panel.config.hours),
            reload=panel.reload,
            version=self._version,
            report_every_s=self._report_every_s,
        )

    def join(self, screen: Screen) -> None:
        """Tell a panel that has connected its configuration, and every later one, until it leaves."""
        self._screens[screen.name].add(screen)
        panel = self._by_name.get(screen.name)
        if panel is not None:
            screen.tell(_encoder.encode(self.configuration(panel)).decode())

    def leave(self, screen: Screen) -> None:
        """Forget a connection."""
        self._screens[screen.name].discard(screen)
        if not self._screens[screen.name]:
            del self._screens[screen.name]

    async def ask_reload(self, name: str) -> bool:
        """Have a panel load its page anew; return whether there is one of that name.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        return name in self._by_name and await store.ask_reload(self._pool, name) == 1

    def connected(self, name: str) -> int:
        """Return how many screens are connected to this process with a panel's key."""
        return len(self._screens.get(name, ()))

    # What panels report

    def report(self, panel: Panel, health: PanelHealth, boards: Sequence[StopBoard]) -> bool:
        """Take a report; ``boards``: what its stops show now. Return False if it comes too soon after the last."""
        now_ms, before = wall_ms(), self._reports.get(panel.name)
        if before is not None and 0 <= now_ms - before.at_ms < REPORT_MIN_S * 1000:  # a clock may be put back
            self._metrics.count("boards_panel_reports_total", outcome="too_soon")
            return False
        found = differences(panel, health, boards, self._now(), self._phrases)
        differed_before = before is not None and bool(before.differs)
        self._reports[panel.name] = Report(at_ms=now_ms, health=health, differs=found, differed_before=differed_before)
        self._reports_to_keep.add(panel.name)
        self._metrics.count("boards_panel_reports_total", outcome="differs" if found else "taken")
        return True

    def note_unreadable(self) -> None:
        """Count a report that was none."""
        self._metrics.count("boards_panel_reports_total", outcome="unreadable")

    def painted(self, name: str, delay_s: float) -> None:
        """Count the time from fix to pixel of a board; ``name`` is "" of one that is not registered."""
        slot_ms, number = slot_of(wall_ms()), bin_of(delay_s)
        for panel in {name, EVERY_BOARD}:
            slot = (panel, slot_ms, self._counted_by)
            counts = self._counting.get(slot)
            if counts is None:
                counts = self._counting[slot] = no_counts()
            counts[number] += 1
            self._delays_to_keep.add(slot)

    def reported(self, name: str) -> Report | None:
        """Return the last report of a panel."""
        return self._reports.get(name)

    def judgements(self) -> dict[str, Judgement]:
        """Return how each panel is, by name."""
        now_ms, minute = wall_ms(), self._now().minute_of(self._clock.now_ms())
        return {
            panel.name: judge(
                panel,
                self._reports.get(panel.name),
                wall_ms=now_ms,
                up_ms=self._up_ms,
                local_minute=minute,
                version=self._version,
            )
            for panel in self.panels()
        }

    def delays(self) -> dict[str, Delays]:
        """Return the delays of the last hour by panel; those of all boards under ``EVERY_BOARD``."""
        return last_hour({**self._delays, **self._counting}, wall_ms())

    def _now(self) -> Now:
        now_ms = self._clock.now_ms()
        return Now(ms=now_ms, rate=self._clock.rate, utc_offset_s=utc_offset_s(now_ms, self._zone))

    # PostgreSQL

    def _replace(self, panels: Iterable[Panel]) -> None:
        """Know exactly ``panels``, and tell those whose configuration is another now."""
        before, self._by_name = self._by_name, {panel.name: panel for panel in panels}
        self._by_digest = {panel.key_digest: panel for panel in self._by_name.values()}
        for name, screens in list(self._screens.items()):
            panel = self._by_name.get(name)
            for screen in list(screens):
                if panel is None or panel.revoked:
                    screen.turn_away(KeyProblem.REVOKED_KEY)
                elif panel != before.get(name):
                    screen.tell(_encoder.encode(self.configuration(panel)).decode())

    async def _follow(self) -> None:
        while True:
            try:
                async with self._pool.acquire() as connection:
                    await self._listen(connection)
            except Exception as error:  # noqa: BLE001 - the top of a task: counted, logged, survived
                self._note(error, "follow")
            await asyncio.sleep(PAUSE_S)

    async def _listen(self, connection: asyncpg.Connection) -> None:
        changed = asyncio.Event()

        def on_notice(*_notice: Any) -> None:
            changed.set()

        connection.add_termination_listener(on_notice)
        await connection.add_listener("panel", on_notice)
        try:
            while not connection.is_closed():
                self._replace(await store.list_panels(connection))
                with suppress(TimeoutError):
                    async with asyncio.timeout(REFRESH_S):
                        await changed.wait()
                changed.clear()
        finally:
            connection.remove_termination_listener(on_notice)
            if not connection.is_closed():
                await connection.remove_listener("panel", on_notice)

    async def _repeat(self, act: Callable[[], Any], every_s: float, what: str) -> None:
        while True:
            try:
                await act()
            except Exception as error:  # noqa: BLE001 - the top of a task: counted, logged, survived
                self._note(error, what)
            await asyncio.sleep(every_s)

    def _note(self, error: Exception, what: str) -> None:
        self._metrics.count("role_errors_total", role="boards", where=f"panels_{what}")
        _log.warning("the fleet of boards waits for the database", what=what, error=repr(error))

    async def _share(self) -> None:
        """Keep the reports that came to this process, and take those that came to others."""
        names, self._reports_to_keep = self._reports_to_keep, set()
        try:
            if names:
                await store.keep_reports(self._pool, {name: self._reports[name] for name in names})
        except BaseException:
            self._reports_to_keep |= names
            raise
        reports, self._reports_serial = await store.reports_since(self._pool, self._reports_serial)
        for name, report in reports.items():
            known = self._reports.get(name)
            if known is None or known.at_ms < report.at_ms:
                self._reports[name] = report

    async def _share_delays(self) -> None:
        """Keep the delays that were counted here, and take those that were counted elsewhere."""
        slots, self._delays_to_keep = self._delays_to_keep, set()
        try:
            if slots:
                await store.keep_delays(self._pool, {slot: self._counting[slot] for slot in slots})
        except BaseException:
            self._delays_to_keep |= slots
            raise
        delays, self._delays_serial = await store.delays_since(self._pool, self._delays_serial)
        self._delays.update((slot, counts) for slot, counts in delays.items() if slot[2] != self._counted_by)

    async def _forget(self) -> None:
        now_ms = wall_ms()
        for kept in (self._delays, self._counting):
            for slot in [slot for slot in kept if slot[1] < now_ms - store.KEPT_MS - SLOT_MS]:
                del kept[slot]
        self._delays_to_keep &= self._counting.keys()
        await store.forget_delays(self._pool, now_ms)  # last: while the database is away, memory must not grow

    async def _tell_figures(self) -> None:
        """Tell how many boards are how; which, the control room knows: metrics are read without signing in."""
        judged = list(self.judgements().values())
        standings = Counter(judgement.standing for judgement in judged)
        remarks = Counter(code for judgement in judged for code in {remark.code for remark in judgement.remarks})
        for standing in Standing:
            self._metrics.set("boards_panels", standings[standing], standing=standing)
        for code in RemarkCode:
            self._metrics.set("boards_panel_remarks", remarks[code], remark=code)


def address_of(panel: Panel) -> str:
    """Return the address of a panel's page on its server: what it shows, and how."""
    config = panel.config
    first, *others = config.stops
    query = {"mode": "panel", "lang": config.language, "theme": config.theme}
    if others:
        query |= {"stops": ",".join(others), "layout": config.layout}
    return f"/board/{quote(first, safe='')}?{urlencode({**query, 'board': panel.name, 'fleet': '1'})}"
