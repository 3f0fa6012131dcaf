"""Find a Chromium that starts. ``python -m tests.chromium`` prints it, or ends with status 1."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_chromium() -> str | None:
    """Return the one named by AYALDAMA_CHROMIUM, else the first installed one that starts (some are only stubs)."""
    named = os.environ.get("AYALDAMA_CHROMIUM")
    candidates = [named] if named else [found for name in NAMES if (found := shutil.which(name))]
    if not named:
        caches = Path("~/.cache/ms-playwright").expanduser()
        candidates += [str(path) for path in sorted(caches.glob("chromium-*/chrome-linux*/chrome"))]
    return next((one for one in candidates if _starts(one)), None)


def _starts(program: str) -> bool:
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and b"hrom" in answer.stdout


if __name__ == "__main__":
    found = find_chromium()
    sys.exit(1 if found is None else sys.stdout.write(f"{found}\n") and 0)
