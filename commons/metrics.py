"""Metrics as an object that is handed in; names, help and labels in one list, so that docs and code agree.

Rooms say what they count with ``Metrics.count`` and ``Metrics.observe``; a name that is not in ``METRICS`` is a bug
and raises. Exposition is the Prometheus text format.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metric(msgspec.Struct, frozen=True):
    """One metric: its kind, help, labels and, for histograms, bucket bounds."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = SECONDS


METRICS: Mapping[str, Metric] = {
    "intake_reports_total": Metric("counter", "Position reports by what became of them", ("protocol", "outcome")),
    "intake_connections": Metric("gauge", "Open tracker connections", ("protocol",)),
    "intake_commit_seconds": Metric("histogram", "Time from report decoded to Redis has it", ("protocol",)),
    "tracking_reports_total": Metric("counter", "Position reports taken by tracking, by outcome", ("outcome",)),
    "tracking_advance_seconds": Metric("histogram", "Time of one Tracker.advance"),
    "tracking_lag_seconds": Metric("histogram", "Age of the newest fix of a batch when tracking published it"),
    "tracking_vehicles": Metric("gauge", "Vehicles known, by phase", ("phase",)),
    "tracking_detours": Metric("gauge", "Detours known now, by how sure they are", ("state",)),
    "tracking_arrivals_total": Metric("counter", "Arrivals published or withdrawn", ("change",)),
    "tracking_stop_events_total": Metric("counter", "Stop passages observed"),
    "tracking_history_total": Metric("counter", "Stop events on their way to PostgreSQL", ("outcome",)),
    "tracking_restarts_total": Metric("counter", "Starts of tracking, by what they continued from", ("source",)),
    "training_seconds": Metric("gauge", "How long the last nightly training took"),
    "training_links": Metric("gauge", "Links whose running times were learned from past days"),
    "boards_connected": Metric("gauge", "Boards connected now"),
    "boards_messages_total": Metric("counter", "Messages sent to boards", ("type",)),
    "boards_dropped_total": Metric("counter", "Board connections closed by us, by reason", ("reason",)),
    "boards_refused_total": Metric("counter", "Boards and messages of boards refused, by reason", ("reason",)),
    "boards_fix_to_painted_seconds": Metric("histogram", "From GPS fix to painted on a board, by its acknowledgement"),
    "stop_page_streams": Metric("gauge", "Telephones that watch on a map how buses come to their stop"),
    "stop_page_refused_total": Metric("counter", "Requests of stops' pages that were refused, by reason", ("reason",)),
    "stop_reports_total": Metric(
        "counter", "Reports of people at stops, by what became of them", ("trouble", "outcome")
    ),
    "stop_reports_open": Metric("gauge", "Reports of people at stops that nobody has closed"),
    "renderings_total": Metric("counter", "Boards asked for as LED pages, pictures or speech", ("form", "outcome")),
    "rendering_seconds": Metric("histogram", "Time to answer that", ("form",)),
    "boards_panel_keys_refused_total": Metric("counter", "Keys of registered boards refused, by reason", ("reason",)),
    "boards_panel_reports_total": Metric(
        "counter", "Reports of registered boards, by what became of them", ("outcome",)
    ),
    "boards_panels": Metric("gauge", "Registered boards by how they are now", ("standing",)),
    "boards_panel_remarks": Metric(
        "gauge", "Registered boards of which something is worth knowing now, by what", ("remark",)
    ),
    "maps_connected": Metric("gauge", "Live maps connected now"),
    "maps_dropped_total": Metric("counter", "Live map connections closed by us, by reason", ("reason",)),
    "accuracy_samples_total": Metric("counter", "Minutes looked at by the live yardstick, by outcome", ("outcome",)),
    "accuracy_settle_seconds": Metric("histogram", "Time to judge one slice of what was published"),
    "accuracy_settled_timestamp_seconds": Metric("gauge", "City time up to which predictions are judged"),
    "accuracy_predictions": Metric(
        "gauge", "Predictions judged in the last hour, by minutes ahead", ("route", "ahead")
    ),
    "accuracy_error_seconds": Metric("gauge", "Their mean absolute error", ("route", "ahead")),
    "accuracy_late_seconds": Metric("gauge", "Their mean error; above 0: later than said", ("route", "ahead")),
    "accuracy_within_bounds_ratio": Metric("gauge", "Share of them within the MBTA's bounds", ("route", "ahead")),
    "accuracy_within_interval_ratio": Metric("gauge", "Share of passings within p10 to p90", ("route", "ahead")),
    "accuracy_foretold_ratio": Metric("gauge", "Share of passings predicted 4 to 6 minutes before", ("route",)),
    "accuracy_rises_per_countdown": Metric("gauge", "Rises of 60 s or more per countdown", ("route",)),
    "accuracy_phantom_ratio": Metric("gauge", "Share of predictions whose vehicle never came", ("route",)),
    "sms_bound": Metric("gauge", "Whether the SMPP bind of an operator is up", ("operator",)),
    "sms_binds_lost_total": Metric("counter", "SMPP binds that ended or were refused", ("operator",)),
    "sms_arrived_total": Metric("counter", "Short messages by SMPP, by what they were", ("operator", "outcome")),
    "sms_sent_total": Metric("counter", "Short messages handed to an operator, by outcome", ("operator", "outcome")),
    "sms_sent_seconds": Metric("histogram", "Time from due to taken by the operator", ("operator",)),
    "sms_throttled_total": Metric("counter", "Times that an operator asked for a slower pace", ("operator",)),
    "sms_gateway_refused_total": Metric(
        "counter", "Requests to our gateways refused, by reason", ("gateway", "reason")
    ),
    "acquirer_requests_total": Metric("counter", "Requests to the acquirer of bank cards", ("asked", "answered")),
    "acquirer_owed": Metric("gauge", "Requests without an answer, being reversed or said again"),
    "card_charges_total": Metric("counter", "Bank cards charged or verified", ("kind", "answered")),
    "card_refunds_total": Metric("counter", "Refunds asked of the acquirer for bank cards", ("answered",)),
    "card_charges_stopped_total": Metric("counter", "Charges not sent: a person must look at them", ("reason",)),
    "acquirer_late_answers_total": Metric("counter", "Answers that nobody waited for any more", ("mti",)),
    "disputes_total": Metric("counter", "Steps about disputed rides on the accountant's page, by answer", ("outcome",)),
    "refunds_total": Metric("counter", "Refunds asked for on the accountant's page, by answer", ("outcome",)),
    "write_offs_total": Metric("counter", "Debts that somebody asked to give up, by answer", ("outcome",)),
    "top_ups_begun_total": Metric("counter", "Top-ups that riders wished for, by answer", ("bank", "outcome")),
    "bank_words_total": Metric("counter", "What banks said of payments, by what became of it", ("bank", "outcome")),
    "bank_hooks_refused_total": Metric(
        "counter", "Requests that claim to be a bank's and are not believed", ("bank", "reason")
    ),
    "top_ups_unsettled": Metric("gauge", "Top-ups and refunds of which no bank says what became of them"),
    "top_up_refunds_total": Metric("counter", "Unused top-ups asked back, by answer", ("outcome",)),
    "inspection_checks_total": Metric("counter", "Passengers checked by inspectors, by answer", ("standing",)),
    "inspection_entries_total": Metric("counter", "Entries of inspection cases", ("step", "outcome")),
    "ledger_holds_expired_total": Metric(
        "counter", "Holds that were due, by what became of their expiry", ("outcome",)
    ),
    "validator_batches_total": Metric("counter", "Uploads of validators by what became of them", ("outcome",)),
    "validator_records_total": Metric("counter", "Records of validators that were new, by standing", ("standing",)),
    "validator_taps_released_total": Metric(
        "counter", "Quarantined taps handed to the books after a person's decision"
    ),
    "validator_enrolments_total": Metric("counter", "Requests of validators to be enrolled", ("outcome",)),
    "fare_codes_shared_total": Metric("counter", "Codes of phones that two vehicles took", ()),
    "phone_codes_total": Metric("counter", "One-time codes asked for, by what became of them", ("outcome",)),
    "phone_sign_ins_total": Metric("counter", "One-time codes typed in, by answer", ("outcome",)),
    "phone_tickets_total": Metric("counter", "Rides asked for on the passengers' page, by answer", ("outcome",)),
    "fare_taps_total": Metric("counter", "Taps handed to the books, by what became of them", ("receipt",)),
    "fare_taps_located_total": Metric("counter", "Rides by where their stop was found", ("source",)),
    "fare_taps_seconds": Metric("histogram", "Time to locate, store and charge one batch of taps"),
    "fare_media_to_charge": Metric("gauge", "Media of which stored rides are not charged yet, after an outage"),
    "fare_documents_published_total": Metric("counter", "Documents signed for validators", ("kind",)),
    "fare_media_denied": Metric("gauge", "Media on the deny list"),
    "fare_vehicles_occupancy": Metric("gauge", "Vehicles by how full they are", ("status",)),
    "sms_messages_total": Metric("counter", "Messages by what became of them", ("operator", "outcome")),
    "sms_answer_seconds": Metric("histogram", "From a message on disk to its answer on disk"),
    "sms_refusals_total": Metric("counter", "Rides asked for by SMS and not sold", ("reason",)),
    "sms_receipts_total": Metric("counter", "Delivery receipts by what became of them", ("operator", "outcome")),
    "sms_charges_total": Metric("counter", "Charges asked of mobile operators, by answer", ("operator", "outcome")),
    "sms_charges_to_give_back": Metric("gauge", "Charges that operators have not given back yet"),
    "http_requests_total": Metric("counter", "HTTP requests", ("route", "status")),
    "role_errors_total": Metric("counter", "Errors survived at the top of a role", ("role", "where")),
}


class Metrics:
    """Counters, gauges and histograms of one process, in a registry of its own."""

    def __init__(self, metrics: Mapping[str, Metric] = METRICS, *, prefix: str = "ayaldama_") -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for name, metric in metrics.items():
            if metric.kind == "counter":
                self._counters[name] = Counter(prefix + name, metric.help, metric.labels, registry=self._registry)
            elif metric.kind == "gauge":
                self._gauges[name] = Gauge(prefix + name, metric.help, metric.labels, registry=self._registry)
            else:
                self._histograms[name] = Histogram(
                    prefix + name, metric.help, metric.labels, registry=self._registry, buckets=metric.buckets
                )

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add ``amount`` to a counter."""
        counter = self._counters[name]
        (counter.labels(**labels) if labels else counter).inc(amount)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def clear(self, name: str) -> None:
        """Forget all values of a gauge with labels: those set next are all there are."""
        self._gauges[name].clear()

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add one value to a histogram."""
        histogram = self._histograms[name]
        (histogram.labels(**labels) if labels else histogram).observe(value)

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)
