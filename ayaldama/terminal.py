"""What a person sees in the terminal while something takes its time. Logs go to the log file, not here."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from commons.clock import monotonic_s


class Steps:
    """A list of steps, each ticked off with the time it took."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show ``text`` while the block runs."""
        began_s = monotonic_s()
        try:
            with self.console.status(f"{text} …"):
                yield
        except BaseException:
            self.console.print(f"  [red]✗[/] {text}")
            raise
        self.console.print(f"  [green]✓[/] {text}  [dim]{monotonic_s() - began_s:.1f} s[/]")
