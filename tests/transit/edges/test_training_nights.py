"""Training on a real PostgreSQL: once per day, one at a time, taken over by a running tracker."""

import asyncio
import datetime as dt
from zoneinfo import ZoneInfo

import asyncpg

from commons.metrics import Metrics
from commons.migrate import migrate
from tests.transit.tracking.test_training import MONDAY, ZONE, at, every_half_hour
from transit.service import School
from transit.store.postgres_history import write_stop_events
from transit.store.travel_times import KEPT, Trained, is_due, last_whole_day, load, newest, train
from transit.tracking.learned import TravelTimes

TUESDAY = MONDAY + dt.timedelta(days=1)


class Noon:
    rate = 1.0

    def now_ms(self) -> int:
        return at(TUESDAY, 12.0)

    async def sleep(self, city_s: float) -> None:
        raise NotImplementedError


def test_a_service_date_is_over_when_its_night_buses_are_in() -> None:
    assert last_whole_day(at(TUESDAY, 2.9), ZONE) == MONDAY - dt.timedelta(days=1)
    assert last_whole_day(at(TUESDAY, 3.1), ZONE) == MONDAY


async def test_each_day_is_learned_from_once(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    assert (await train(postgres, ZONE, {}, MONDAY)).as_of is None, "nothing has been observed"
    await write_stop_events(postgres, every_half_hour(MONDAY, {}))
    await write_stop_events(postgres, every_half_hour(TUESDAY, {}))
    assert await is_due(postgres, MONDAY)
    first = await train(postgres, ZONE, {}, MONDAY)
    assert (first.as_of, first.days, first.links) == (MONDAY, 1, 2)
    assert not await is_due(postgres, MONDAY)
    assert (await train(postgres, ZONE, {}, MONDAY)).days == 0
    second = await train(postgres, ZONE, {}, TUESDAY)
    assert (second.as_of, second.days) == (TUESDAY, 1)
    step_by_step, at_once = (
        await load(postgres),
        (await train(postgres, ZONE, {}, TUESDAY, anew=True), await load(postgres)),
    )
    assert step_by_step is not None
    assert at_once[1] is not None
    assert (at_once[0].days, at_once[1].weight.sum()) == (2, step_by_step.weight.sum())


async def test_two_trainings_at_once_do_not_count_a_day_twice(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    await write_stop_events(postgres, every_half_hour(MONDAY, {}))
    done = await asyncio.gather(*(train(postgres, ZONE, {}, MONDAY) for _ in range(3)))
    assert sorted(one.days for one in done) == [0, 0, 1]


async def test_a_week_of_trainings_is_kept(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    await write_stop_events(postgres, every_half_hour(MONDAY, {}))
    for _ in range(KEPT + 3):
        await train(postgres, ZONE, {}, MONDAY, anew=True)
    assert await postgres.fetchval("SELECT count(*) FROM travel_times") == KEPT


async def test_a_running_tracker_takes_over_what_was_learned(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    adopted: list[TravelTimes] = []

    async def train_now(until: dt.date) -> Trained:
        return await train(postgres, ZoneInfo("Asia/Qyzylorda"), {}, until)

    school = School(adopted.append, history=postgres, zone=ZONE, clock=Noon(), metrics=Metrics(), train=train_now)
    await school.look()
    assert not adopted
    await write_stop_events(postgres, every_half_hour(MONDAY, {}))
    await train(postgres, ZONE, {}, MONDAY)
    await school.look()
    await school.look()
    assert [times.as_of for times in adopted] == [MONDAY], "once"
    assert await newest(postgres) is not None
