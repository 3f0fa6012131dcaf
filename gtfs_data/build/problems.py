"""What is wrong in a city's folder: the notices of a feed's check, used for the folder's own files and rows."""

from gtfs_data.notices import CheckReport, Code, Notice, Notices, Severity


class BuildError(ValueError):
    """No feed can be made of a folder; ``report`` holds all that was found in it."""

    def __init__(self, name: str, report: CheckReport) -> None:
        errors = [notice for notice in report.notices if notice.severity is Severity.ERROR]
        more = f" (and {report.errors - 1} more)" if report.errors > 1 else ""
        super().__init__(f"{name}: {errors[0] if errors else 'no feed'}{more}")
        self.report = report


class Problems:
    """Gathers what is wrong in a folder, so that all of it can be told at once."""

    def __init__(self) -> None:
        self._notices = Notices()

    def error(
        self, code: Code, file: str, rule: str, *, row: int | None = None, field: str = "", value: object = ""
    ) -> None:
        """Take a fault that must be mended before a feed can be made."""
        self._add(Severity.ERROR, code, file, rule, row, field, str(value))

    def warning(
        self, code: Code, file: str, rule: str, *, row: int | None = None, field: str = "", value: object = ""
    ) -> None:
        """Take something odd that the feed can do without."""
        self._add(Severity.WARNING, code, file, rule, row, field, str(value))

    @property
    def report(self) -> CheckReport:
        """Return what was gathered."""
        return self._notices.report()

    def raise_errors(self, name: str) -> None:
        """Raise ``BuildError`` if there are errors."""
        report = self.report
        if report.errors:
            raise BuildError(name, report)

    def _add(
        self, severity: Severity, code: Code, file: str, rule: str, row: int | None, field: str, value: str
    ) -> None:
        notice = Notice(severity=severity, code=code, file=file, rule=rule, row=row, field=field, value=value[:80])
        self._notices.add([notice])
