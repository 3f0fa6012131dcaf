"""What somebody at a stop reports: something is wrong there, and what the page showed at that moment. Pure.

Nothing about the person is taken: no name, number, address or browser. The free text may hold what people write.
"""

import enum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

TEXT_MAX: Final = 500
ROWS_MAX: Final = 60
BODY_MAX_BYTES: Final = 32_768


class Trouble(enum.StrEnum):
    """What is wrong. Each is a choice of the form, a metric label and a word of ``ayaldama reports``."""

    BOARD_WRONG = enum.auto()  # it showed what was not so
    BOARD_DARK = enum.auto()
    BUS_MISSING = enum.auto()  # it did not come
    STOP_DAMAGED = enum.auto()
    OTHER = enum.auto()


class ReportOutcome(enum.StrEnum):
    """What became of a report that was sent. Metric label."""

    TAKEN = enum.auto()
    REPEATED = enum.auto()  # sent again: the first answer holds
    UNREADABLE = enum.auto()
    TOO_MANY = enum.auto()  # of one address, of one stop or of the city
    NOT_KEPT = enum.auto()  # the database did not answer


Short = Annotated[str, Meta(max_length=80)]


class ShownRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row as the page showed it. ``age_s``: of the fix it rested on."""

    route: Short
    destination: Short
    state: Short  # ``outcomes.LineState``, as the page understood it
    said: Annotated[str, Meta(max_length=160)]  # figure and words
    age_s: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None


class Shown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the page showed when the report was sent."""

    at_ms: Annotated[int, Meta(ge=0, le=1 << 53)]  # city time as the page knew it
    quality: Annotated[str, Meta(max_length=20)]  # live, stale or lost
    silent_s: Annotated[int, Meta(ge=0, le=10_000_000)]  # since the server was last heard
    rows: Annotated[list[ShownRow], Meta(max_length=ROWS_MAX)] = []


class ProblemReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/stops/{stop}/reports``. ``key`` is made by the page: sent twice, it counts once."""

    key: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    trouble: Trouble
    language: Annotated[str, Meta(pattern="^(kk|ru|en)$")]
    route: Short = ""  # what bus did not come, where somebody says so
    text: Annotated[str, Meta(max_length=TEXT_MAX)] = ""
    shown: Shown | None = None


class ReportError(ValueError):
    """A report that is not taken: field, value and rule."""

    def __init__(self, field: str, value: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field, self.value, self.rule = field, value[:80], rule


_decoder: Final = msgspec.json.Decoder(ProblemReport)


def read_report(body: bytes) -> ProblemReport:
    """Return the report in a request's body; text without what cannot be seen, and without blanks around it.

    Raises:
        ReportError: what is wrong with it.
    """
    try:
        report = _decoder.decode(body)
    except msgspec.ValidationError as error:
        rule, _, place = str(error).partition(" - at `$")
        field = place.rstrip("`").lstrip(".") or _named(rule)
        raise ReportError(field, _value_of(body, field), rule) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReportError("body", body[:80].decode(errors="replace"), "must be JSON") from error
    text = _seen(report.text)
    if report.trouble is Trouble.OTHER and not text:
        raise ReportError("text", report.text, "must say what is wrong, where `trouble` is `other`")
    return msgspec.structs.replace(report, text=text, route=_seen(report.route), shown=_seen_of(report.shown))


def _named(rule: str) -> str:
    """Return the field that a message about the whole names: "Object missing required field `trouble`"."""
    return rule.split("`")[1] if rule.count("`") == 2 else "body"


def _value_of(body: bytes, field: str) -> str:
    """Return the value of a field as it was sent, "" where there is none."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):  # broken further on, or folded without end
        return ""
    for name in field.replace("[", ".").replace("]", "").split("."):
        if isinstance(value, dict):
            value = value.get(name, "")
        elif isinstance(value, list) and name.isdecimal():
            value = value[int(name)]
        else:
            return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _seen_of(shown: Shown | None) -> Shown | None:
    """Return what a page showed without what cannot be seen: it is printed on terminals, which obey some of that."""
    if shown is None:
        return None
    rows = [
        msgspec.structs.replace(
            row, **{name: _seen(getattr(row, name)) for name in ("route", "destination", "state", "said")}
        )
        for row in shown.rows
    ]
    return msgspec.structs.replace(shown, quality=_seen(shown.quality), rows=rows)


def _seen(text: str) -> str:
    return "".join(one for one in text if one.isprintable() or one == "\n").strip()
