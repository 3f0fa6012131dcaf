"""The file of the media's keys: refused where others may read it, and never quoted."""

from pathlib import Path

import pytest

from fare.validator.media_keys import MediaKeysError, read_media_keys

GOOD = """\
token_version = 2
token_secret = "00112233445566778899aabbccddeeff"
card_key = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
"""


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "media.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_keys_are_read(tmp_path: Path) -> None:
    keys = read_media_keys(written(tmp_path, GOOD))
    assert (keys.token_keys.current.version, len(keys.card_key)) == (2, 16)
    assert "0011" not in repr(keys)


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (GOOD, 0o644, "others may read"),
        ("token_version", 0o600, "this is not TOML"),
        (GOOD.replace("token_version = 2\n", ""), 0o600, "missing required field `token_version`"),
        (GOOD.replace("= 2", "= 0"), 0o600, "token_version must be 1 or more"),
        (GOOD.replace("0011", "zz11"), 0o600, "token_secret must be hexadecimal"),
        (GOOD.replace("0f1e", ""), 0o600, "card_key must have 16 to 16 bytes"),
    ],
)
def test_what_is_wrong_is_said_without_the_key(tmp_path: Path, text: str, mode: int, said: str) -> None:
    with pytest.raises(MediaKeysError, match=said) as raised:
        read_media_keys(written(tmp_path, text, mode))
    assert "2233" not in str(raised.value)
