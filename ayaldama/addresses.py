"""Where the running system of a data folder serves its pages, for commands that print an address.

Its port may be one that no setting names: of ``demo --port``, or a free one. So the system writes its addresses into
its data folder when all is ready and removes them at the end; those of a killed one are known by the lock it lost.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from ayaldama.processes import is_used
from ayaldama.settings import Settings

PAGES: Final = ("web", "fare", "phone")  # names of ports behind which pages are


@contextmanager
def told(settings: Settings, ports: Mapping[str, int]) -> Iterator[None]:
    """Tell commands where pages are while the block runs."""
    hosts = {name: getattr(settings, name).host for name in PAGES}
    found = {name: f"http://{hosts[name]}:{ports[name]}" for name in PAGES if name in ports}
    file = _file(settings.data_folder)
    file.write_bytes(msgspec.json.encode(found))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def pages_address(settings: Settings) -> str:
    """Return the address of the web pages, without a slash at its end: as outsiders reach them, where that is set."""
    if settings.web.public_url:
        return settings.web.public_url.rstrip("/")
    return _running(settings).get("web") or f"http://{settings.web.host}:{settings.web.port}"


def _running(settings: Settings) -> Mapping[str, str]:
    if not is_used(settings.data_folder.expanduser()):
        return {}
    try:
        return msgspec.json.decode(_file(settings.data_folder).read_bytes(), type=dict[str, str])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}  # it is only starting


def _file(folder: Path) -> Path:
    return folder.expanduser() / "run" / "addresses.json"
