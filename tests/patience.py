"""How long a test waits for what ought to have happened by now: a busy machine is slow, only what never comes fails."""

from typing import Final

PATIENCE_S: Final = 60
PATIENCE_MS: Final = 1000 * PATIENCE_S
