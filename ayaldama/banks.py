"""The banks of the settings: who is asked for payments, who may reach us, and where what they owe is kept."""

import asyncio
import ipaddress
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import asyncpg
from aiohttp import web

from ayaldama.roles._base import RoleError
from ayaldama.settings import BanksSection
from commons.clock import Clock
from commons.metrics import Metrics
from fare.api.bank_hooks import BankHooks, Hooks, MediumOf
from fare.gateways import bank_epay, bank_kaspi, bank_redirect
from fare.gateways.bank import TIYN_PER_TENGE, Bank
from fare.gateways.bank_epay import EpayBank, EpaySettings
from fare.gateways.bank_kaspi import KaspiSettings, read_networks
from fare.gateways.bank_redirect import RedirectBank, RedirectSettings, read_secret
from fare.model import AccountCode, MediumId
from fare.top_up_refunds import TopUpRefunds
from fare.top_ups import BankName, TopUpRules
from fare.topping_up import Channels, TopUps

ECHO_BYTES: Final = 24

_ACCOUNTS: Final[Mapping[BankName, AccountCode]] = MappingProxyType(
    {
        bank_redirect.NAME: bank_redirect.ACCOUNT,
        bank_epay.NAME: bank_epay.ACCOUNT,
        bank_kaspi.NAME: bank_kaspi.ACCOUNT,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CityBanks:
    """What a process needs to offer top-ups. ``offered``: banks that a rider may begin with here."""

    top_ups: TopUps
    refunds: TopUpRefunds
    offered: tuple[BankName, ...]
    routes: list[web.RouteDef]


@asynccontextmanager
async def open_banks(
    settings: BanksSection,
    pool: asyncpg.Pool,
    *,
    clock: Clock,
    metrics: Metrics,
    medium_of: MediumOf,
    address_of: Callable[[web.Request], str],
    owing: Callable[[Mapping[MediumId, int]], None] = lambda _: None,
) -> AsyncIterator[CityBanks]:
    """Give the banks while the block runs, and ask them about what no webhook told.

    ``medium_of``: the medium of a phone number of 11 digits, if it may be topped up from a bank's app.

    Raises:
        RoleError: if a setting cannot be; the message names it and not its value where that is a secret.
    """
    hooks = _hooks(settings, medium_of)
    async with aiohttp.ClientSession() as session:
        channels = Channels(banks=_banks(settings, session), accounts=_ACCOUNTS)
        top_ups = TopUps(
            pool,
            channels,
            rules=rules_of(settings),
            clock=clock,
            metrics=metrics,
            new_echo=lambda: secrets.token_urlsafe(ECHO_BYTES),
            owing=owing,
        )
        refunds = TopUpRefunds(pool, channels, clock=clock, metrics=metrics)
        async with asyncio.TaskGroup() as tasks:
            sweeping = tasks.create_task(refunds.run(top_ups), name="top-ups")
            try:
                yield CityBanks(
                    top_ups=top_ups,
                    refunds=refunds,
                    offered=tuple(channels.banks),
                    routes=BankHooks(top_ups, hooks, clock=clock, metrics=metrics, address_of=address_of).routes(),
                )
            finally:
                sweeping.cancel()


def refunding_accounts(settings: BanksSection) -> Mapping[BankName, AccountCode]:
    """Return the accounts of the banks that are set up and give back what they are asked for."""
    set_up = {bank_redirect.NAME: settings.redirect_url, bank_epay.NAME: settings.epay_url}
    return {name: _ACCOUNTS[name] for name, url in set_up.items() if url}


def rules_of(settings: BanksSection) -> TopUpRules:
    """Return the limits of the settings."""
    return TopUpRules(
        min_tiyn=settings.top_up_min * TIYN_PER_TENGE,
        max_tiyn=settings.top_up_max * TIYN_PER_TENGE,
        day_max_tiyn=settings.top_up_day_max * TIYN_PER_TENGE,
    )


def _banks(settings: BanksSection, session: aiohttp.ClientSession) -> dict[BankName, Bank]:
    banks: dict[BankName, Bank] = {}
    if settings.redirect_url:
        redirect = RedirectSettings(
            url=_safe("redirect_url", settings.redirect_url),
            key=_needed("redirect_key", settings.redirect_key),
            secrets=_webhook_secrets(settings),
            return_url=settings.return_url,
        )
        banks[bank_redirect.NAME] = RedirectBank(redirect, session)
    if settings.epay_url:
        epay = EpaySettings(
            oauth_url=_safe("epay_oauth_url", settings.epay_oauth_url),
            api_url=_safe("epay_url", settings.epay_url),
            client_id=_needed("epay_client", settings.epay_client),
            client_secret=_needed("epay_secret", settings.epay_secret),
            terminal=_needed("epay_terminal", settings.epay_terminal),
            post_link=f"{_safe('hooks_url', settings.hooks_url).rstrip('/')}/banks/{bank_epay.NAME}",
        )
        banks[bank_epay.NAME] = EpayBank(epay, session)
    return banks


def _hooks(settings: BanksSection, medium_of: MediumOf) -> Hooks:
    kaspi = None
    if settings.kaspi_secret:
        try:
            kaspi = KaspiSettings(
                secret=settings.kaspi_secret,
                networks=read_networks(_needed("kaspi_addresses", settings.kaspi_addresses).split()),
                operation_digits=settings.kaspi_operation_digits,
            )
        except ValueError as error:
            raise RoleError(f"banks.kaspi: {error}") from error
    return Hooks(
        redirect_secrets=_webhook_secrets(settings) if settings.redirect_url else (),
        epay=bool(settings.epay_url),
        kaspi=kaspi,
        medium_of=medium_of,
    )


def _webhook_secrets(settings: BanksSection) -> tuple[bytes, ...]:
    try:
        return tuple(read_secret(one) for one in _needed("redirect_secrets", settings.redirect_secrets).split())
    except ValueError as error:
        raise RoleError(f"banks.redirect_secrets: {error}") from error


def _needed(name: str, value: str) -> str:
    if not value:
        raise RoleError(f"banks.{name} is not set, but its bank is")
    return value


def _safe(name: str, url: str) -> str:
    """Return an address that no secret is read on the way to: https, or this machine."""
    parts = urlsplit(_needed(name, url))
    try:
        here = parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        here = False
    if parts.scheme != "https" and not (parts.scheme == "http" and here):
        raise RoleError(f"banks.{name} must begin with https://: {url}")
    return url
