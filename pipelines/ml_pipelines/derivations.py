"""Inputs of a model that follow from others in the same row: what the event says, and its features.

Examples for training, the rows of a batch, and the requests and events that are served are given them by these
functions alone. A manifest names those that its model needs. A derivation never changes: what is computed otherwise
gets another name, and so is another input, so that versions of a model that serve beside one another can't disagree.

A function is asked only where none of its sources is missing. Standard library alone: who serves imports this.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

HOUR_MS = 3_600_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The years 1 to 9999, in milliseconds since 1970.
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Source(StrEnum):
    """What a derivation is made of: a number (given to it as a float), a word, or a list of words."""

    NUMBER = "number"
    WORD = "word"
    WORDS = "words"


class DerivationError(LookupError):
    """A name that no derivation has."""


class SourceError(ValueError):
    """A source that is of another type. `right` says what would be."""

    def __init__(self, name: str, value: Any, right: str):
        super().__init__(f"`{name}` is {type(value).__name__} where {right} is right")
        self.name, self.value, self.right = name, value, right


_RIGHT = {
    Source.NUMBER: "a finite number, or null where it isn't known",
    Source.WORD: "a string, or null where it isn't known",
    Source.WORDS: "a list of strings, or null where it isn't known",
}


@dataclass(frozen=True)
class Derivation:
    """How the input of this name follows from its sources, each a field of the event or a feature."""

    name: str
    sources: Mapping[str, Source]
    compute: Callable[..., float | str | bool | None]

    def of(self, row: Mapping[str, Any]) -> float | str | bool | None:
        """The input of a row; None where a source is missing, or nothing finite follows. Raises SourceError."""
        given = []
        for name, kind in self.sources.items():
            value = row.get(name)
            if value is None:
                return None
            given.append(_checked(name, kind, value))
        found = self.compute(*given)
        return None if isinstance(found, float) and not math.isfinite(found) else found


def _checked(name: str, kind: Source, value: Any) -> Any:
    found = type(value)
    if kind is Source.NUMBER and (found is int or (found is float and math.isfinite(value))):
        return float(value)
    if kind is Source.WORD and found is str:
        return value
    if kind is Source.WORDS and found is list and all(type(word) is str for word in value):
        return value
    raise SourceError(name, value, _RIGHT[kind])


def _hour_of_day(event_time: float) -> float:
    return event_time // HOUR_MS % 24


def _amount_to_mean_1h(amount: float, transactions: float, total: float) -> float | None:
    return amount * transactions / total if total else None


def _instalment(amount: float, months: float) -> float | None:
    return amount / months if months else None


def _weekday(day: str) -> float | None:
    return float(_DAYS.index(day)) if day in _DAYS else None


def _day_of_year(event_time: float) -> float | None:
    if not _FIRST_MS <= event_time <= _LAST_MS:
        return None
    return float((_EPOCH + timedelta(milliseconds=event_time)).timetuple().tm_yday)


def _station(station_id: str) -> str:
    return station_id


def _genre(genres: list[str]) -> str:
    return genres[0] if genres else ""


def _genre_count(genres: list[str]) -> float:
    return float(len(genres))


def _is_favourite(genres: list[str], favourite: str) -> bool:
    return _genre(genres) == favourite


_NUMBER, _WORD, _WORDS = Source.NUMBER, Source.WORD, Source.WORDS
DERIVATIONS: Mapping[str, Derivation] = {
    one.name: one
    for one in (
        Derivation("hour_of_day", {"event_time": _NUMBER}, _hour_of_day),
        Derivation(
            "amount_to_mean_1h",
            {"amount": _NUMBER, "transactions_1h": _NUMBER, "amount_1h": _NUMBER},
            _amount_to_mean_1h,
        ),
        Derivation("instalment", {"amount": _NUMBER, "months": _NUMBER}, _instalment),
        # A number, in which trees find the days before the weekend by one split.
        Derivation("weekday", {"day": _WORD}, _weekday),
        Derivation("day_of_year", {"event_time": _NUMBER}, _day_of_year),
        Derivation("station", {"station_id": _WORD}, _station),
        Derivation("genre", {"genres": _WORDS}, _genre),
        Derivation("genre_count", {"genres": _WORDS}, _genre_count),
        Derivation("is_favourite", {"genres": _WORDS, "favourite_genre": _WORD}, _is_favourite),
    )
}


def named(names: Iterable[str]) -> tuple[Derivation, ...]:
    """The derivations of these names. Raises DerivationError for one that there isn't."""
    names = tuple(names)
    for name in names:
        if name not in DERIVATIONS:
            raise DerivationError(f"derivation `{name}` isn't known here; those that are: {', '.join(DERIVATIONS)}")
    return tuple(DERIVATIONS[name] for name in names)


def fill_in(row: dict[str, Any], needed: Iterable[Derivation]) -> None:
    """Add what a row lacks and what follows from it. What it has itself counts. Raises SourceError."""
    for one in needed:
        if row.get(one.name) is None and (found := one.of(row)) is not None:
            row[one.name] = found
