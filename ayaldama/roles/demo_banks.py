"""The demo's banks: a gateway with a page, ePay and Kaspi, each a server of its own, which misbehave on purpose."""

from urllib.parse import urlsplit

from ayaldama.demo import free_or
from ayaldama.demo_banks.serving import CLIENT, KASPI_PORT, serve_banks
from ayaldama.roles._base import RoleContext


async def serve(context: RoleContext) -> None:
    """Serve the banks until ``context.stop``; wait for it, where the settings name other banks or none."""
    banks = context.settings.banks
    if banks.epay_client != CLIENT:
        context.ready({})
        await context.stop.wait()
        return
    host = urlsplit(banks.epay_url).hostname or ""
    kaspi = (host, free_or(KASPI_PORT, host))
    async with serve_banks(banks, kaspi=kaspi, seed=context.settings.demo.seed, clock=context.clock) as addresses:
        context.ready({"kaspi": urlsplit(addresses["kaspi"]).port or 0})
        await context.stop.wait()
