"""What commands share: the settings in force, and errors as sentences with an exit status."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import click
from rich.console import Console

from ayaldama.embedded import ServerError
from ayaldama.processes import ProcessError
from ayaldama.settings_source import Reading, SettingsError, read_settings
from ayaldama.supervisor import StartError
from commons.migrate import MigrationError
from fare.store.city_key import CityKeyError

EXIT_USAGE: Final = 2
EXIT_UNAVAILABLE: Final = 69  # EX_UNAVAILABLE of sysexits.h


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What was chosen before the command."""

    file: Path | None = None
    data_folder: Path | None = None

    def read(self, options: Mapping[str, object] | None = None) -> Reading:
        """Return the settings in force; ``options`` of the command win over everything.

        Raises:
            SettingsError: at the first mistake.
        """
        return read_settings(self.file, command_line={"data_folder": self.data_folder, **(options or {})})


@contextmanager
def explained() -> Iterator[None]:
    """Turn errors that a person can mend into one sentence and an exit status."""
    try:
        yield
    except SettingsError as error:
        fail(str(error), EXIT_USAGE)
    except (ServerError, ProcessError, MigrationError) as error:
        fail(str(error), EXIT_UNAVAILABLE)
    except CityKeyError as error:
        fail(str(error))
    except StartError as error:
        fail(str(error), error.status or 1)


def fail(message: str, status: int = 1) -> NoReturn:
    """Say ``message`` and end."""
    click.echo(f"ayaldama: {message}", err=True)
    sys.exit(status)


def console() -> Console:
    """Return the terminal: colours and spinners where there is one, plain lines elsewhere."""
    return Console(highlight=False, soft_wrap=True)
