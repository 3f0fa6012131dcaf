"""A rider tops up at each of the demo's banks, over HTTP, while the bank repeats, reorders, delays and forges."""

import asyncio
import base64
import re
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
import msgspec
import numpy as np
import pytest
from aiohttp import web

from ayaldama.banks import CityBanks, open_banks, rules_of
from ayaldama.demo import PortClaims
from ayaldama.demo_banks.mischief import Forgery, Mischief
from ayaldama.demo_banks.payments import Payment, Press, Standing
from ayaldama.demo_banks.serving import demo_banks, serve_banks
from ayaldama.http import serve_application
from ayaldama.roles._base import RoleError
from ayaldama.settings import BanksSection
from commons.clock import ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from fare.ledger.accounts import wallet
from fare.model import MediumId
from fare.store.ledger_books import balances_tiyn, verify
from fare.top_ups import BackOutcome, BankName, Beginning, TopUpState
from fare.topping_up import Begun, TopUpAsked
from tests.notation.rides import medium
from tests.patience import PATIENCE_S

LOCAL = "127.0.0.1"
RIDER = medium(7)
NUMBER = "77011234567"
MISCHIEF_S = 0.2


async def medium_of(number: str) -> MediumId | None:
    return RIDER if number == NUMBER else None


@dataclass
class City:
    pool: asyncpg.Pool
    banks: CityBanks
    metrics: Metrics
    browser: aiohttp.ClientSession
    addresses: dict[str, str]

    async def begin(self, bank: str, tiyn: int) -> Begun:
        asked = TopUpAsked(key=f"{bank}-{tiyn}", medium_id=RIDER, bank=BankName(bank), amount_tiyn=tiyn, language="ru")
        for _ in range(20):  # the bank loses an answer now and then: the same key again
            begun = await self.banks.top_ups.begin(asked)
            if begun.outcome is not Beginning.BANK_SILENT:
                break
        assert begun.opened is not None, begun.outcome
        return begun

    async def press(self, url: str, press: str) -> str:
        async with self.browser.get(url) as shown:
            assert shown.status == 200
        async with self.browser.post(url, data={"press": press}) as answer:
            return await answer.text()

    async def until(self, begun: Begun, state: TopUpState) -> None:
        assert begun.top_up is not None
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = await self.banks.top_ups.of_medium(RIDER, begun.top_up.invoice)
                if found is not None and found.state is state:
                    break
                await asyncio.sleep(0.02)

    async def wallet_tiyn(self) -> int:
        await asyncio.sleep(2 * MISCHIEF_S)  # everything that is told, again or falsely, is told by then
        return -(await balances_tiyn(self.pool)).get(wallet(RIDER), 0)

    def refused(self, bank: str) -> list[str]:
        lines = self.metrics.exposition().decode().splitlines()
        return re.findall(rf'bank_hooks_refused_total{{bank="{bank}",reason="(\w+)"', "\n".join(lines))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def city(fare_postgres: asyncpg.Pool, tmp_path: Path) -> AsyncIterator[City]:
    port, metrics = free_port(), Metrics()
    hooks_url = f"http://{LOCAL}:{port}"
    settings = demo_banks(
        tmp_path / "banks.json",
        host=LOCAL,
        hooks_url=hooks_url,
        return_url=f"{hooks_url}/back",
        claims=PortClaims(tmp_path / "ports"),
    )
    clock = SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=wall_ms(), rate=20.0))  # sweeps ask after a second

    async def back(_request: web.Request) -> web.Response:
        return web.Response(text="back at the merchant's")

    async with (
        aiohttp.ClientSession() as browser,
        open_banks(
            settings,
            fare_postgres,
            clock=clock,
            metrics=metrics,
            medium_of=medium_of,
            address_of=lambda request: request.remote or "",
        ) as banks,
    ):
        app = web.Application()
        app.add_routes([*banks.routes, web.get("/back", back)])
        async with (
            serve_application(app, host=LOCAL, port=port),
            serve_banks(settings, kaspi=(LOCAL, 0), seed=3, clock=clock, delay_max_s=MISCHIEF_S) as addresses,
        ):
            yield City(fare_postgres, banks, metrics, browser, addresses)
    assert (await verify(fare_postgres)).findings == []


async def test_attack_36_paid_at_the_gateways_page_it_is_credited_once_and_taken_back_once(city: City) -> None:
    begun = await city.begin("redirect", 50_000)
    assert begun.opened is not None
    assert await city.press(begun.opened.link, "pay") == "back at the merchant's"
    await city.until(begun, TopUpState.CREDITED)
    assert await city.wallet_tiyn() == 50_000
    await city.press(begun.opened.link, "take_back")
    await city.until(begun, TopUpState.REFUNDED)
    assert await city.wallet_tiyn() == 0
    async with asyncio.timeout(PATIENCE_S):
        while not city.refused("redirect"):  # noqa: ASYNC110 - somebody tries, some time
            await asyncio.sleep(0.02)
    assert set(city.refused("redirect")) <= {"signature", "clock", "too_often"}


async def test_a_payment_that_the_rider_does_not_make_is_refused(city: City) -> None:
    begun = await city.begin("redirect", 50_000)
    assert begun.opened is not None
    await city.press(begun.opened.link, "refuse")
    await city.until(begun, TopUpState.REFUSED)
    assert await city.wallet_tiyn() == 0


async def test_paid_by_the_qr_of_epay_it_is_credited_after_the_bank_was_asked(city: City) -> None:
    begun = await city.begin("epay", 70_000)
    assert begun.opened is not None
    assert begun.top_up is not None
    assert begun.opened.qr.startswith(city.addresses["epay"])
    await city.press(begun.opened.qr, "pay")
    await city.until(begun, TopUpState.CREDITED)
    assert await city.wallet_tiyn() == 70_000
    async with asyncio.timeout(PATIENCE_S):
        back = BackOutcome.REPEATED
        while back in {BackOutcome.REPEATED, BackOutcome.ASKED}:  # its answer may be lost: it is asked for again
            back = await city.banks.refunds.give_back(
                key="r", medium_id=RIDER, invoice=begun.top_up.invoice, amount_tiyn=20_000
            )
            await asyncio.sleep(0.1)
    assert back is BackOutcome.DONE
    assert await city.wallet_tiyn() == 50_000


async def test_attack_37_paid_in_kaspis_app_by_phone_number_it_is_credited_once(city: City) -> None:
    async with city.browser.post(city.addresses["kaspi"], data={"account": f"+{NUMBER}", "amount": "500"}) as answer:
        assert re.search(r"Операция|Operation|Төленді", await answer.text())
    assert await city.wallet_tiyn() == 50_000
    async with city.browser.post(
        city.addresses["kaspi"], data={"account": "77770000000", "amount": "500", "lang": "en"}
    ) as answer:
        assert "does not know this number" in await answer.text()
    assert await city.wallet_tiyn() == 50_000


def test_the_same_seed_does_the_same_mischief() -> None:
    def told(seed: int) -> list[object]:
        mischief = Mischief(np.random.default_rng(seed))
        return [mischief.tellings() for _ in range(50)]

    assert told(1) == told(1) != told(2)
    every = [one for tellings in told(1) for one in tellings]  # type: ignore[attr-defined]
    assert {one.forgery for one in every} == {None, *Forgery}
    assert any(one.older for one in every)
    assert [] in told(1), "now and then a bank forgets"


def test_a_bank_gives_back_no_more_than_was_paid() -> None:
    payment = Payment(id="p", invoice="100000", amount_tiyn=500, expires_ms=10)
    assert not payment.refund("r", 1)
    assert payment.press(Press.PAY, 0)
    assert not payment.press(Press.REFUSE, 0)
    assert payment.refund("r", 200)
    assert payment.refund("r", 200), "again is the same"
    assert not payment.refund("other", 301)
    assert payment.press(Press.TAKE_BACK, 0)
    assert (payment.refunded_tiyn, payment.standing) == (500, Standing.PAID)
    late = Payment(id="p", invoice="100000", amount_tiyn=500, expires_ms=10)
    assert not late.press(Press.PAY, 10)
    assert late.standing is Standing.EXPIRED


GOOD = BanksSection(
    hooks_url="https://city.example",
    redirect_url="https://bank.example",
    redirect_key="k" * 20,
    redirect_secrets=f"whsec_{base64.b64encode(bytes(32)).decode()}",
)


def with_(**changed: object) -> Callable[[], BanksSection]:
    return lambda: msgspec.structs.replace(GOOD, **changed)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (with_(redirect_url="http://bank.example"), "banks.redirect_url must begin with https"),
        (with_(redirect_key=""), "banks.redirect_key is not set"),
        (with_(redirect_secrets="whsec_tooshort"), "banks.redirect_secrets"),
        (with_(epay_url="https://epay.example"), "banks.epay_oauth_url is not set"),
        (with_(kaspi_secret="s" * 20), "banks.kaspi_addresses is not set"),
        (with_(kaspi_secret="s" * 20, kaspi_addresses="10.0.0.0/33"), "banks.kaspi"),
        (with_(kaspi_secret="short", kaspi_addresses="10.0.0.1"), "banks.kaspi"),
    ],
)
async def test_settings_that_cannot_be_are_named(
    fare_postgres: asyncpg.Pool, made: Callable[[], BanksSection], says: str
) -> None:
    with pytest.raises(RoleError, match=says) as wrong:
        async with open_banks(
            *(made(), fare_postgres),
            clock=SystemClock(),
            metrics=Metrics(),
            medium_of=medium_of,
            address_of=lambda _: "",
        ):
            pass
    assert "tooshort" not in str(wrong.value)


def test_limits_are_in_tenge() -> None:
    rules = rules_of(BanksSection(top_up_min=200, top_up_max=300, top_up_day_max=400))
    assert (rules.min_tiyn, rules.max_tiyn, rules.day_max_tiyn) == (20_000, 30_000, 40_000)
