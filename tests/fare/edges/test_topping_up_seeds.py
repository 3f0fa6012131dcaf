"""Hundreds of things happen to top-ups in an order that nobody chose; then books and bank agree to the tiyn."""

import os

import asyncpg
import numpy as np
import pytest

from fare.gateways.postgres_top_ups import due_to_ask, due_to_give_back
from fare.model import LocatedTap
from fare.store.ledger_books import balances_tiyn, verify
from fare.top_ups import BankState, BankWord, Beginning, Invoice
from tests.fare.edges.test_topping_up import MINUTE_MS, OWED_BY_BANK, REDIRECT, Town, give_back
from tests.notation.rides import SmallTariff, medium, tap, total_tiyn

SEEDS = int(os.environ.get("TOP_UP_SEEDS", "3"))
STEPS = 60
RIDERS = (7, 9)
CHEAP = SmallTariff(ride_tiyn=700, day_tiyn=1_400)  # so that there is something left to give back


class Random:
    """One run: the town, the dice, and all that the bank ever said, true when it was said."""

    def __init__(self, town: Town, seed: int) -> None:
        self.town, self.dice = town, np.random.default_rng(seed)
        self.said: list[BankWord] = []
        self.taps: list[LocatedTap] = []

    async def step(self, number: int) -> None:
        town, dice = self.town, self.dice
        town.now_ms += int(dice.integers(1, 3)) * MINUTE_MS
        town.bank.silent, town.bank.deaf = int(dice.random() < 0.2), int(dice.random() < 0.1)
        town.bank.refuses = bool(dice.random() < 0.25)
        invoices = list(town.bank.payments)
        match int(dice.integers(9)):
            case 0 | 1:
                rider = int(dice.choice(RIDERS))
                begun = await town.begin(int(dice.integers(1, 9)) * 1_000, key=f"k{number}", number=rider)
                assert begun.outcome is not Beginning.KEY_REUSED
            case 2 | 3 if invoices:
                await self.change(Invoice(str(dice.choice(invoices))))
            case 4 if self.said:  # again, late, or after a newer one
                await town.top_ups.heard(REDIRECT, self.said[int(dice.integers(len(self.said)))])
            case 5 | 7 | 8 if invoices:
                rider = int(dice.choice(RIDERS))
                tiyn = int(dice.integers(1, 6)) * 500
                await give_back(town, Invoice(str(dice.choice(invoices))), tiyn, f"r{number}", rider)
            case 6:
                self.taps.append(tap(f"v:{number + 1}", f"{number % 24:02d}:00", int(dice.choice(RIDERS))))
                await town.take(self.taps[-1])
            case _:
                await town.top_ups.sweep()
                await town.refunds.sweep()

    async def change(self, invoice: Invoice) -> None:
        """Let a payment go on at the bank; now and then it says so."""
        town, before = self.town, self.town.bank.payments[invoice]
        if before.state is not BankState.PAID:
            after = BankState(self.dice.choice(["pending", "refused", "expired", "paid", "paid"]))
            word = town.bank.says(invoice, after)
        else:
            back_tiyn = before.refunded_tiyn or 0
            more_tiyn = int(self.dice.integers(0, 3)) * (before.amount_tiyn - back_tiyn) // 2
            word = town.bank.says(invoice, refunded_tiyn=back_tiyn + more_tiyn)
        self.said.append(word)
        if self.dice.random() < 0.6:
            await town.top_ups.heard(REDIRECT, word)

    async def settle(self) -> None:
        """Let the bank be well, say everything once more in any order, and ask until nothing is due."""
        town = self.town
        town.bank.silent = town.bank.deaf = 0
        town.bank.refuses = False
        words = [*self.said, *town.bank.payments.values()]
        for index in self.dice.permutation(len(words)):
            await town.top_ups.heard(REDIRECT, words[index])
        for _ in range(20):
            town.now_ms += 90 * MINUTE_MS
            await town.refunds.sweep()
            await town.top_ups.sweep()
            for word in list(town.bank.payments.values()):  # refunds that were done just now are told too
                await town.top_ups.heard(REDIRECT, word)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_books_and_bank_agree_whatever_happened(fare_postgres: asyncpg.Pool, seed: int) -> None:
    town = Town(fare_postgres, CHEAP)
    run = Random(town, seed)
    for number in range(STEPS):
        await run.step(number)
    await run.settle()
    late_ms = town.now_ms + 10**9
    paid = [one for one in town.bank.payments.values() if one.state is BankState.PAID]
    assert paid, "the dice did something"
    assert await due_to_give_back(fare_postgres, late_ms, 10) == []
    due = await due_to_ask(fare_postgres, late_ms, 100)
    assert {town.bank.payments[one].state for one in due if one in town.bank.payments} <= {BankState.PENDING}
    at_bank_tiyn = dict.fromkeys(RIDERS, 0)
    for one in paid:
        (owner,) = [rider for rider in RIDERS if await town.top_ups.of_medium(medium(rider), one.invoice)]
        at_bank_tiyn[owner] += one.amount_tiyn - (one.refunded_tiyn or 0)
    assert (await balances_tiyn(fare_postgres)).get(OWED_BY_BANK, 0) == sum(at_bank_tiyn.values())
    fares_tiyn = total_tiyn(run.taps, CHEAP, {})
    for rider in RIDERS:
        has_tiyn = await town.wallet(rider) - await town.debt(rider)
        assert has_tiyn == at_bank_tiyn[rider] - fares_tiyn.get(medium(rider), 0), "paid in, less the rides"
    assert (await verify(fare_postgres)).findings == []
