"""Metrics are read without signing in: they count, and name nothing of which a city has any number."""

from commons.metrics import METRICS

CLOSED = {  # enumerations of ours, or of a protocol
    *(
        "ahead",
        "answered",
        "asked",
        "change",
        "form",
        "kind",
        "mti",
        "outcome",
        "phase",
        "protocol",
        "reason",
        "receipt",
    ),
    *("remark", "role", "source", "standing", "state", "status", "step", "trouble", "type", "where"),
}
CHOSEN = {"bank", "gateway", "operator"}  # by an operator's settings
PUBLIC = {"route"}  # in the feed, or one of our own addresses' patterns


def test_labels_name_no_vehicle_person_or_board() -> None:
    assert {label for metric in METRICS.values() for label in metric.labels} == CLOSED | CHOSEN | PUBLIC
