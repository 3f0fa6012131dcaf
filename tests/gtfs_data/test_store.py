"""Compiled networks on disk: the same network comes back, or none."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from gtfs_data import store
from gtfs_data.compile import load_network
from gtfs_data.network import Network
from tests.notation.feed import SMALL, files, write_folder, write_zip

FULL = """
translations
table_name  field_name  language  translation  record_id
stops       stop_name   ru        Базар        S1

frequencies
trip_id  start_time  end_time  headway_secs  exact_times
T1       07:00:00    07:30:00  600           0
"""


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    return write_zip(tmp_path / "feed.zip", files(FULL))


def same(one: Network, other: Network) -> bool:
    """Return whether two networks hold the same values in arrays of the same types."""
    for name, kind in store.PARTS.items():
        for field in dataclasses.fields(kind):
            a, b = (getattr(getattr(network, name), field.name) for network in (one, other))
            if isinstance(a, np.ndarray):
                if a.dtype != b.dtype or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
                    return False
            elif a != b or type(a) is not type(b):
                return False
    scalars = [field.name for field in dataclasses.fields(Network) if field.name not in store.PARTS]
    return all(getattr(one, name) == getattr(other, name) for name in scalars)


def test_the_same_network_comes_back(feed: Path, tmp_path: Path) -> None:
    compiled = load_network(feed, cache=None)
    load_network(feed, cache=tmp_path / "cache")
    kept = store.load(tmp_path / "cache", compiled.feed_hash)
    assert kept is not None
    assert same(kept, compiled)
    assert not kept.patterns.offset_m.flags.writeable


def test_a_feed_is_known_by_its_content_and_not_by_its_name(feed: Path, tmp_path: Path) -> None:
    first = load_network(feed, cache=tmp_path / "cache")
    os.utime(feed, (1, 1))
    again = load_network(feed.rename(tmp_path / "other.zip"), cache=tmp_path / "cache")
    assert isinstance(again.patterns.offset_m.base, np.ndarray)  # a view of the mapped file, not made anew
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert same(first, again)
    changed = write_zip(feed, files(SMALL.replace("08:15:00", "08:16:00")))
    assert load_network(changed, cache=tmp_path / "cache").trips.arrival_s[-1] == 29_760
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_folder_is_known_by_its_tables(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "feed", files())
    before = load_network(folder, cache=tmp_path / "cache").feed_hash
    write_folder(folder, {"notes.md": "not of the feed"})
    assert load_network(folder, cache=tmp_path / "cache").feed_hash == before
    write_folder(folder, files(FULL))
    assert load_network(folder, cache=tmp_path / "cache").feed_hash != before


def test_a_kept_file_that_is_damaged_anywhere_is_made_anew(feed: Path, tmp_path: Path) -> None:
    compiled = load_network(feed, cache=None)
    path = store.save(tmp_path / "cache", compiled)
    sound = path.read_bytes()
    for at in [*range(0, len(sound), 97), len(sound) - 1]:
        path.unlink()  # not in place: earlier loads have the file mapped
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 0xFF]) + sound[at + 1 :])
        kept = store.load(tmp_path / "cache", compiled.feed_hash)
        assert kept is None or same(kept, compiled)  # padding may be damaged without harm
    for length in (0, 1, 20, 40, 200, len(sound) // 2, len(sound) - 1):
        path.unlink()
        path.write_bytes(sound[:length])
        assert store.load(tmp_path / "cache", compiled.feed_hash) is None
    assert same(load_network(feed, cache=tmp_path / "cache"), compiled)
    assert path.read_bytes() == sound


def test_a_file_of_another_version_is_made_anew(feed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(store, "VERSION", store.VERSION - 1)
        network = load_network(feed, cache=tmp_path / "cache")
    assert store.load(tmp_path / "cache", network.feed_hash) is None
    load_network(feed, cache=tmp_path / "cache")
    assert store.load(tmp_path / "cache", network.feed_hash) is not None


def test_the_file_of_one_feed_does_not_stand_for_another(feed: Path, tmp_path: Path) -> None:
    path = store.save(tmp_path, load_network(feed, cache=None))
    other = "0" * 64
    path.rename(tmp_path / f"{other}.network")
    assert store.load(tmp_path, other) is None


def test_nothing_half_written_is_left_behind(feed: Path, tmp_path: Path) -> None:
    load_network(feed, cache=tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".network"]
