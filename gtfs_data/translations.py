"""Names in other languages, from translations.txt: by record (record_id) or by what the original says (field_value)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gtfs_data import fields
from gtfs_data.read import Tables


@dataclass(frozen=True, slots=True)
class Translations:
    """Texts by (table, field, language, record id) and by (table, field, language, original text)."""

    languages: tuple[str, ...]
    by_record: Mapping[tuple[str, str, str, str], str]
    by_value: Mapping[tuple[str, str, str, str], str]

    @classmethod
    def of(cls, tables: Tables) -> "Translations":
        """Return the translations of a feed."""
        table = tables.get("translations")
        names = ("table_name", "field_name", "language", "translation", "record_id", "field_value")
        by_record: dict[tuple[str, str, str, str], str] = {}
        by_value: dict[tuple[str, str, str, str], str] = {}
        for row in zip(*(fields.texts(table, name) for name in names), strict=True):
            file, field, language, text, record, value = row
            language = primary(language)
            if record:
                by_record[file, field, language, record] = text
            elif value:
                by_value[file, field, language, value] = text
        languages = tuple(sorted({key[2] for key in (*by_record, *by_value)}))
        return cls(languages, by_record, by_value)

    def names(
        self, file: str, field: str, records: Sequence[str], originals: Sequence[str]
    ) -> Mapping[str, tuple[str, ...]]:
        """Return ``originals`` in every language of the feed; the original where there is no translation."""
        return {
            language: tuple(
                self.by_record.get((file, field, language, record))
                or self.by_value.get((file, field, language, original), original)
                for record, original in zip(records, originals, strict=True)
            )
            for language in self.languages
        }


def primary(language: str) -> str:
    """Return the primary subtag of a language tag, in lower case (``kk-KZ`` → ``kk``)."""
    return language.replace("_", "-").split("-")[0].strip().lower()
