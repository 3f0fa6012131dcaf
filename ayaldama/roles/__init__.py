"""What each process consists of: one file and one function per role, opened top to bottom, closed bottom to top.

A process imports only the roles that it runs, so that intake starts without pandas and the web without decoders.
"""

import importlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from ayaldama.roles._base import RoleContext

ROLES: Final = (
    *("intake", "tracking", "fare", "phone", "sms", "boards", "dispatch"),
    *("demo_banks", "simulator", "sms_centre"),
)
DEMO: Final = frozenset({"demo_banks", "simulator", "sms_centre"})  # never in a real city
WEB: Final = frozenset({"boards", "dispatch"})  # share one HTTP application when they share a process

Serve = Callable[[RoleContext], Coroutine[Any, Any, None]]


def functions_of(roles: frozenset[str]) -> dict[str, Serve]:
    """Return the functions that serve ``roles``: boards and dispatch are one web process when both are wanted."""
    modules = {"web" if role in WEB else role for role in roles}
    return {name: importlib.import_module(f"ayaldama.roles.{name}").serve for name in sorted(modules)}
