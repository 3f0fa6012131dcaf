"""Simulator: the demo's buses, which speak the real protocols to the real ports."""

from ayaldama.roles._base import RoleContext


async def serve(context: RoleContext) -> None:
    """Drive the demo's buses until ``context.stop``."""
    raise NotImplementedError
