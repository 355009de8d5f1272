"""What is wrong with a request, as its sender is told: a status, the field, what was found and what would be right."""

from typing import Any

BAD_REQUEST, UNAUTHORISED, FORBIDDEN, NOT_FOUND = 400, 401, 403, 404
TIME_OUT, TOO_LARGE, WRONG_TYPE, UNPROCESSABLE = 408, 413, 415, 422
TOO_MANY, FAILED, UNAVAILABLE = 429, 500, 503

# How a refusal (500) begins that names the version without a score, which is followed by `: ` and the reason.
NO_SCORE = "no score by "

_LONGEST = 120


class RefusedError(Exception):
    """A request without an answer. `retry_after`: seconds after which another attempt may be answered."""

    def __init__(self, status: int, field: str, found: str, right: str, retry_after: float | None = None):
        super().__init__(f"{field}: found {found}; {right}")
        self.status, self.field, self.found, self.right, self.retry_after = status, field, found, right, retry_after

    def body(self) -> dict[str, Any]:
        """What the sender reads. `error` is one sentence, as the Open Inference Protocol has it."""
        return {"error": str(self), "field": self.field, "found": self.found, "right": self.right}


def shown(value: Any) -> str:
    """A value of a request as it is quoted, cut where it is long."""
    text = repr(value)
    return f"`{text}`" if len(text) <= _LONGEST else f"`{text[:_LONGEST]}...`"
