"""What is wrong with a definition, in the words of whoever wrote it: from Pydantic's errors to ours."""

import json
from typing import Any

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from ml_blueprints.errors import Problem

# Patterns in words, for people who don't read regular expressions.
_WORDS: dict[str, str] = {}

_TYPES = {
    "model_type": "fields are expected here, each as `name: value`",
    "model_attributes_type": "fields are expected here, each as `name: value`",
    "dict_type": "fields are expected here, each as `name: value`",
    "tuple_type": "a list is expected",
    "string_type": "text is expected",
    "int_type": "a whole number is expected",
    "int_from_float": "a whole number is expected",
    "float_type": "a number is expected",
    "finite_number": "a finite number is expected",
    "bool_type": "`true` or `false` is expected",
    "missing": "this field is required",
    "extra_forbidden": "there is no such field; remove it or correct its name",
    "invalid_key": "the name of a field is text",
}


def written_as(pattern: str, words: str, **options: Any) -> Any:
    """A field of text that matches a pattern; `words` say the same to people. `options` are those of Field."""
    _WORDS[pattern] = words
    return Field(pattern=pattern, **options)


def disagreement(*problems: Problem) -> ValidationError:
    """For a validator to raise: fields that are right by themselves, but not beside other fields or files."""
    return ValidationError.from_exception_data(
        "disagreement",
        [
            InitErrorDetails(
                type=PydanticCustomError("disagreement", "{problem}", {"problem": problem}), loc=(), input=None
            )
            for problem in problems
        ],
    )


def explain(error: ValidationError) -> list[Problem]:
    """Each error as a problem: the path as the user wrote it, the value, and what would be right."""
    return [_explain(detail) for detail in error.errors(include_url=False) if not _follows(detail)]


def _follows(detail: ErrorDetails) -> bool:
    """Whether a list is only too short because Pydantic took out the items that are errors themselves."""
    return detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]


def _explain(detail: ErrorDetails) -> Problem:
    context = detail.get("ctx", {})
    if detail["type"] == "disagreement":
        return context["problem"]
    found = "nothing" if detail["type"] == "missing" else _brief(detail["input"])
    return Problem(_path(detail["loc"]), found, _right(detail, context))


def _path(location: tuple[int | str, ...]) -> str:
    """`models[0].name`. Of a mapping's key, Pydantic says `[key]` besides."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location if part != "[key]")
    return "".join(parts).removeprefix(".")


def _right(detail: ErrorDetails, context: dict[str, Any]) -> str:
    match detail["type"]:
        case "string_type" if detail["input"] is not None and not isinstance(detail["input"], (dict, list)):
            return "text is expected; put it in quotes"
        case known if known in _TYPES:
            return _TYPES[known]
        case "enum" | "literal_error":
            return f"one of {context['expected']} is expected"
        case "string_pattern_mismatch":
            return f"expected is {_WORDS[context['pattern']]}"
        case "string_too_long":
            return f"at most {context['max_length']} characters are expected, not {len(detail['input'])}"
        case "string_too_short":
            return "text is expected, not an empty one"
        case "too_short":
            return f"a list of at least {context['min_length']} is expected"
        case "too_long":
            return f"a list of at most {context['max_length']} is expected"
        case "greater_than":
            return f"a number above {context['gt']:g} is expected"
        case "greater_than_equal":
            return f"{context['ge']:g} or more is expected"
        case "less_than":
            return f"a number below {context['lt']:g} is expected"
        case "less_than_equal":
            return f"{context['le']:g} or less is expected"
        case _:
            return detail["msg"][0].lower() + detail["msg"][1:]


def _brief(value: object) -> str:
    try:
        text = json.dumps(value, default=str, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # what YAML can write and JSON can't: dates as keys, loops
        text = repr(value)
    return f"`{text if len(text) <= 80 else text[:77] + '...'}`"
