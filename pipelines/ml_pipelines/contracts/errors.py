"""Why an event can't be used: one error for all that can be wrong with one, with a reason that can be counted."""

from enum import StrEnum


class Reason(StrEnum):
    """Why an event can't be used. `far_future` and `late` are found by the processor, which knows other events too."""

    TRUNCATED = "truncated"
    TRAILING_BYTES = "trailing_bytes"
    UNKNOWN_SCHEMA = "unknown_schema"
    MISSING_FIELD = "missing_field"
    EXTRA_FIELD = "extra_field"
    WRONG_TYPE = "wrong_type"
    NOT_FINITE = "not_finite"
    INVALID_UTF8 = "invalid_utf8"
    TOO_LARGE = "too_large"
    OUT_OF_RANGE = "out_of_range"
    FAR_FUTURE = "far_future"
    LATE = "late"


class ContractError(ValueError):
    """An event that breaks its contract. `reason` is for counting, `detail` for people."""

    def __init__(self, reason: Reason, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail
