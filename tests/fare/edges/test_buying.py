"""Rides bought by telephone on a real PostgreSQL: one key, one ride, one charge, and never a debt."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import asyncpg
import msgspec
import pytest

import fare.buying
from fare.buying import Buying, BuyingRules
from fare.model import LocatedTap, MediumKind, Riders
from fare.purchases import BuyRefusal, Quote, Ticket
from fare.refund_service import RefundAsked, Refunds
from fare.settlement_service import SettlementRules
from fare.store.postgres_ledger import open_ledger
from tests.notation.ledger import journal
from tests.notation.market import NOON_MS, Market, OperatorInMemory, market, purchase
from tests.notation.rides import ADULT

MINUTE_MS = 60_000


@pytest.fixture
async def town(postgres: asyncpg.Pool) -> AsyncIterator[Market]:
    async with market(postgres) as opened:
        yield opened


@pytest.fixture
async def buying(town: Market) -> AsyncIterator[Buying]:
    async with town.opened() as opened:
        yield opened


async def test_a_ride_is_bought_and_is_a_ride_like_any(town: Market, buying: Buying) -> None:
    await town.top_up(7, 250)
    ticket = await buying.buy(purchase("a"))
    assert isinstance(ticket, Ticket)
    assert (ticket.fleet_number, ticket.route_id, ticket.carrier_id) == ("0451", "12", "k1")
    assert (ticket.price_tiyn, ticket.from_ms, ticket.until_ms) == (100, NOON_MS, NOON_MS + 120 * MINUTE_MS)
    assert [charge.charged_tiyn for charge in ticket.charges] == [100]
    assert await town.stands(7) == (150, 0)
    (tap,) = town.boarded
    assert tap.tap.key == ticket.tap_key
    row = await town.pool.fetchrow("SELECT device_id, route_id, stop_id, carrier_id, shown_tiyn FROM tap WHERE rides")
    assert tuple(row) == ("sms", "12", "market", "k1", 100)


async def test_the_same_key_buys_once_also_days_later_and_with_another_time(town: Market, buying: Buying) -> None:
    await town.top_up(7, 250)
    first = await buying.buy(purchase("a"))
    town.clock.city_ms += 3 * 86_400_000
    assert await buying.buy(purchase("a")) == first
    assert await buying.buy(purchase("a", at_ms=town.clock.city_ms)) == first
    assert (await town.rides(), len(town.boarded)) == (1, 1)
    assert await town.stands(7) == (150, 0)


async def test_the_same_key_ten_times_at_once_buys_once_through_two_processes(town: Market, buying: Buying) -> None:
    await town.top_up(7, 250)
    async with town.opened() as other:
        tickets = await asyncio.gather(*(one.buy(purchase("a")) for one in (buying, other) for _ in range(5)))
    assert isinstance(tickets[0], Ticket)
    assert [ticket == tickets[0] for ticket in tickets] == [True] * 10
    assert await town.rides() == 1
    assert await town.stands(7) == (150, 0)


async def test_attack_42_a_key_of_another_purchase_is_refused(town: Market, buying: Buying) -> None:
    await town.top_up(7, 250)
    await town.top_up(8, 250)
    await buying.buy(purchase("a"))
    assert await buying.buy(purchase("a", 8)) is BuyRefusal.KEY_REUSED
    assert await buying.quote(purchase("a", 8)) is BuyRefusal.KEY_REUSED
    answers = await asyncio.gather(
        buying.buy(purchase("b", 7, at_ms=NOON_MS - 5 * MINUTE_MS)), buying.buy(purchase("b", 8))
    )
    assert sorted(isinstance(answer, Ticket) for answer in answers) == [False, True]
    assert BuyRefusal.KEY_REUSED in answers


async def test_attack_43_of_purchases_that_race_for_the_last_money_as_many_are_paid_as_it_lasts(town: Market) -> None:
    town.tariff = type(town.tariff)(free_ms=-1, day_tiyn=10_000)
    await town.top_up(7, 350)
    rules = BuyingRules(again_ms=0)
    async with town.opened(rules) as one, town.opened(rules) as other:
        wishes = [purchase(f"{at}", at_ms=NOON_MS - at) for at in range(10)]
        answers = await asyncio.gather(*(shop.buy(wish) for shop, wish in zip((one, other) * 5, wishes, strict=True)))
    sold = [answer for answer in answers if isinstance(answer, Ticket)]
    assert (len(sold), answers.count(BuyRefusal.NO_MONEY)) == (3, 7)
    assert await town.stands(7) == (50, 0)
    assert await town.rides() == 3


async def test_a_wallet_that_is_too_low_buys_nothing_and_nothing_is_written(town: Market, buying: Buying) -> None:
    await town.top_up(7, 99)
    assert await buying.buy(purchase("a")) is BuyRefusal.NO_MONEY
    assert (await town.rides(), town.boarded, await town.stands(7)) == (0, [], (99, 0))
    await town.top_up(7, 1)
    assert isinstance(await buying.buy(purchase("a")), Ticket), "a refusal does not use up the key"
    assert await town.stands(7) == (0, 0)


@pytest.mark.parametrize(
    ("vehicle_id", "refusal"), [("bus-9", BuyRefusal.UNKNOWN_VEHICLE), ("bus-2", BuyRefusal.NOT_IN_SERVICE)]
)
async def test_on_a_bus_that_is_not_there_nothing_is_sold(
    town: Market, buying: Buying, vehicle_id: str, refusal: BuyRefusal
) -> None:
    await town.top_up(7, 250)
    assert await buying.quote(purchase("a", vehicle_id=vehicle_id)) is refusal
    assert await buying.buy(purchase("a", vehicle_id=vehicle_id)) is refusal
    assert await town.stands(7) == (250, 0)


async def test_who_asks_too_late_is_refused_but_who_has_a_ticket_gets_it_again(town: Market, buying: Buying) -> None:
    await town.top_up(7, 250)
    await buying.buy(purchase("a"))
    town.clock.city_ms += 40 * MINUTE_MS
    assert await buying.buy(purchase("b")) is BuyRefusal.TOO_LATE
    assert await buying.quote(purchase("b")) is BuyRefusal.TOO_LATE
    assert isinstance(await buying.buy(purchase("a")), Ticket)
    assert await town.stands(7) == (150, 0)


async def test_i4_the_same_bus_again_within_minutes_is_the_same_ride(town: Market, buying: Buying) -> None:
    town.tariff = type(town.tariff)(free_ms=-1)
    await town.top_up(7, 250)
    first = await buying.buy(purchase("a"))
    town.clock.city_ms += 2 * MINUTE_MS
    again = purchase("b", kind=MediumKind.PHONE, at_ms=town.clock.city_ms)
    assert await buying.buy(again) == first
    assert await town.stands(7) == (150, 0)
    town.clock.city_ms += 5 * MINUTE_MS
    assert await buying.buy(purchase("c", at_ms=town.clock.city_ms)) != first


async def test_a_quote_is_what_is_charged_and_says_what_is_missing(town: Market, buying: Buying) -> None:
    await town.top_up(7, 30)
    quote = await buying.quote(purchase("a"))
    assert isinstance(quote, Quote)
    assert (quote.price_tiyn, quote.missing_tiyn, quote.ticket) == (100, 70, None)
    await town.top_up(7, 70)
    ticket = await buying.buy(purchase("a"))
    bought = await buying.quote(purchase("a"))
    assert isinstance(bought, Quote)
    assert (bought.price_tiyn, bought.missing_tiyn, bought.ticket) == (100, 0, ticket)


async def test_a_transfer_is_free_and_needs_no_money(town: Market, buying: Buying) -> None:
    await town.top_up(7, 100)
    await buying.buy(purchase("a"))
    town.clock.city_ms += 30 * MINUTE_MS
    transfer = await buying.buy(purchase("b", at_ms=town.clock.city_ms))
    assert isinstance(transfer, Ticket)
    assert transfer.price_tiyn == 0
    assert await town.stands(7) == (0, 0)


async def test_more_riders_than_a_ticket_carries_are_refused_and_none_is_the_callers_mistake(buying: Buying) -> None:
    crowd, none = (
        msgspec.structs.replace(purchase("a"), riders=(Riders(category=ADULT, count=count),)) for count in (11, 0)
    )
    assert await buying.buy(crowd) is BuyRefusal.TOO_MANY_RIDERS
    with pytest.raises(ValueError, match="must be 1 or more: 0"):
        await buying.buy(none)
    with pytest.raises(ValueError, match="must be phone or sms: cash"):
        await buying.buy(purchase("a", kind=MediumKind.CASH))


async def test_a_bus_is_found_by_number_and_plate(buying: Buying) -> None:
    found = [await buying.vehicle_of(typed) for typed in ("0451", "123авс11", "0453", "")]
    assert [vehicle.vehicle_id if vehicle else None for vehicle in found] == ["bus-1", "bus-1", None, None]


async def test_what_a_wallet_lacks_the_operator_pays_in_the_same_breath(town: Market, buying: Buying) -> None:
    await town.top_up(7, 30)
    operator = OperatorInMemory()
    assert isinstance(await buying.buy(purchase("a"), paid_by=operator), Ticket)
    assert (await town.stands(7), await town.operator_owes()) == ((0, 0), 70)
    assert isinstance(await buying.buy(purchase("a"), paid_by=operator), Ticket)
    assert (await town.operator_owes(), operator.gave_back) == (70, [])


async def test_what_the_operator_refuses_is_not_sold(town: Market, buying: Buying) -> None:
    operator = OperatorInMemory(refusal=BuyRefusal.CORPORATE_NUMBER)
    assert await buying.buy(purchase("a"), paid_by=operator) is BuyRefusal.CORPORATE_NUMBER
    assert (await town.rides(), await town.operator_owes()) == (0, 0)


async def test_what_the_operator_took_for_no_ticket_goes_back(town: Market, buying: Buying) -> None:
    """The bus leaves service, and another purchase pays for the ride, between the operator's answer and ours."""

    async def leaves() -> None:
        town.lines.clear()

    operator = OperatorInMemory(then=leaves)
    assert await buying.buy(purchase("a"), paid_by=operator) is BuyRefusal.NOT_IN_SERVICE
    assert operator.gave_back == ["a"]
    town.lines["bus-1"] = "12"

    async def buys_otherwise() -> None:
        await town.top_up(7, 100)
        assert isinstance(await buying.buy(purchase("b")), Ticket)

    operator = OperatorInMemory(then=buys_otherwise)
    assert isinstance(await buying.buy(purchase("b"), paid_by=operator), Ticket)
    assert (operator.gave_back, await town.operator_owes()) == (["b"], 0)


async def test_killed_after_the_operators_answer_the_next_attempt_uses_what_it_took(
    town: Market, buying: Buying
) -> None:
    async def killed() -> None:
        raise ConnectionResetError("the power went")

    operator = OperatorInMemory(then=killed)
    with pytest.raises(ConnectionResetError):
        await buying.buy(purchase("a"), paid_by=operator)
    assert await town.rides() == 0
    async with town.opened() as after:
        assert isinstance(await after.buy(purchase("a"), paid_by=OperatorInMemory(took=operator.took)), Ticket)
    assert (await town.stands(7), await town.operator_owes()) == ((0, 0), 100)


async def test_what_is_not_wanted_any_more_is_not_sold(town: Market, buying: Buying) -> None:
    async def refused_meanwhile(connection: asyncpg.Connection) -> bool:
        return False

    operator = OperatorInMemory()
    answer = await buying.buy(purchase("a"), paid_by=operator, wanted=refused_meanwhile)
    assert answer is BuyRefusal.WITHDRAWN
    assert (await town.rides(), await town.operator_owes(), await town.stands(7)) == (0, 0, (0, 0))


async def test_of_many_sold_together_one_that_cannot_be_sold_holds_up_no_other(town: Market, buying: Buying) -> None:
    async def refused_meanwhile(connection: asyncpg.Connection) -> bool:
        return False

    for number in range(10, 18):
        await town.top_up(number, 100)
    assert isinstance(await buying.buy(purchase("sold", 10)), Ticket)
    first = buying.buy(purchase("first", 11))  # while it is sold, the others gather
    others = [buying.buy(purchase(f"{number}", number)) for number in range(12, 16)]
    unwanted = buying.buy(purchase("unwanted", 16), wanted=refused_meanwhile)
    taken, poor = buying.buy(purchase("sold", 17)), buying.buy(purchase("poor", 18))
    answers = await asyncio.gather(first, *others, unwanted, taken, poor)
    assert [type(answer) for answer in answers[:5]] == [Ticket] * 5
    assert answers[5:] == [BuyRefusal.WITHDRAWN, BuyRefusal.KEY_REUSED, BuyRefusal.NO_MONEY]
    assert [await town.stands(number) for number in (11, 15, 16, 17)] == [(0, 0), (0, 0), (100, 0), (100, 0)]
    assert (await town.rides(), len(town.boarded)) == (6, 6)


def dying_after(step: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
    """Return a step that is the last one of its process."""

    async def last(connection: asyncpg.Connection, *arguments: object, **named: object) -> object:
        await step(connection, *arguments, **named)
        connection.terminate()
        raise ConnectionResetError("the power went")

    return last


STEPS = ("lock_media", "read_windows", "read_book", "store_taps", "write_pages", "write_posted", "add_purchases")


async def test_killed_after_any_step_there_is_nothing_and_the_next_process_sells_it(
    town: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town.opened() as first, town.opened() as second:
        for number, step in enumerate(STEPS, 11):
            await town.top_up(number, 250)
            wish = purchase(step, number)
            with monkeypatch.context() as patched:
                patched.setattr(fare.buying, step, dying_after(getattr(fare.buying, step)))
                with pytest.raises((ConnectionResetError, asyncpg.InterfaceError)):
                    await first.buy(wish)
            assert await town.stands(number) == (250, 0), step
            assert isinstance(await second.buy(wish), Ticket), step
            assert await town.stands(number) == (150, 0), step
    assert await town.rides() == len(STEPS)


async def test_killed_after_the_commit_the_next_process_finds_the_ticket(town: Market) -> None:
    await town.top_up(7, 250)

    async def killed(taps: Sequence[LocatedTap]) -> None:
        raise ConnectionResetError("the power went")

    async with town.opened(told=killed) as first:
        with pytest.raises(ConnectionResetError):
            await first.buy(purchase("a"))
    async with town.opened() as second:
        assert isinstance(await second.buy(purchase("a")), Ticket)
    assert (await town.rides(), await town.stands(7)) == (1, (150, 0))


async def test_a_ride_that_makes_a_refunded_one_free_is_paid_by_the_wallet_and_not_by_the_refund_again(
    town: Market, buying: Buying
) -> None:
    await town.top_up(7, 100)
    later = await buying.buy(purchase("later", at_ms=NOON_MS))
    assert isinstance(later, Ticket)
    refunds = Refunds(town.pool, pricing=town.tariff, rules=SettlementRules())
    await refunds.ask(RefundAsked(key="r", ride_key=later.tap_key), who="aigul", now_ms=NOON_MS)
    assert await town.stands(7) == (100, 0)
    # A message of five minutes before arrives only now; the later ride is a transfer then, and free.
    assert isinstance(await buying.buy(purchase("earlier", at_ms=NOON_MS - 5 * MINUTE_MS)), Ticket)
    assert await town.stands(7) == (0, 0)


async def test_who_has_nothing_but_what_is_taken_back_is_not_sold_a_ride(town: Market, buying: Buying) -> None:
    await town.top_up(7, 100)
    later = await buying.buy(purchase("later", at_ms=NOON_MS))
    assert isinstance(later, Ticket)
    refunds = Refunds(town.pool, pricing=town.tariff, rules=SettlementRules())
    await refunds.ask(RefundAsked(key="r", ride_key=later.tap_key), who="aigul", now_ms=NOON_MS)
    async with open_ledger(town.pool) as ledger:
        await ledger.post([journal("spent", "wallet:7", "deferred:month", 50)])
    wish = purchase("earlier", at_ms=NOON_MS - 5 * MINUTE_MS)
    assert await buying.buy(wish) is BuyRefusal.NO_MONEY
    assert await town.stands(7) == (50, 0)
