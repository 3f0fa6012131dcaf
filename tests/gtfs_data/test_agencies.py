"""Who runs a line is who is owed its fares."""

from pathlib import Path

from gtfs_data.agencies import agencies_of_routes

FEED = {
    "agency.txt": "agency_id,agency_name,agency_timezone\na1,First,Asia/Almaty\na2,Second,Asia/Almaty\n",
    "routes.txt": "route_id,agency_id,route_type\n1,a2,3\n2,,3\n3,a1,3\n",
}


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_each_line_has_its_carrier(tmp_path: Path) -> None:
    assert agencies_of_routes(written(tmp_path, FEED)) == ({"1": "a2", "2": "a1", "3": "a1"}, "a1")


def test_the_only_agency_needs_no_id(tmp_path: Path) -> None:
    files = {"agency.txt": "agency_name,agency_timezone\nTown,Asia/Almaty\n", "routes.txt": "route_id\n1\n"}
    assert agencies_of_routes(written(tmp_path, files)) == ({"1": "Town"}, "Town")
