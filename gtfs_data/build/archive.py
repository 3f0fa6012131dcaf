"""Write a feed as a zip that is the same, byte for byte, whenever and wherever it is built (edge)."""

import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

EARLIEST: Final = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can hold
UNIX: Final = 3  # create_system: else it would say on which system it was built
MODE: Final = 0o100644


def write_archive(files: Mapping[str, bytes], output: Path) -> None:
    """Write ``files`` to ``output`` at once: whoever looks finds the old file or the whole new one.

    Raises:
        OSError: if it cannot be written; nothing is left behind then.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{output.name}.", suffix=".part", dir=output.parent)
    part = Path(name)
    try:
        with (
            os.fdopen(handle, "wb") as target,
            zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as pack,
        ):
            for file in sorted(files):
                info = zipfile.ZipInfo(file, date_time=EARLIEST)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.create_system = UNIX
                info.external_attr = MODE << 16
                pack.writestr(info, files[file])
        part.chmod(0o644)
        part.replace(output)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
