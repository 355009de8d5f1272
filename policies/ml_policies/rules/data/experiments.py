"""Experiments: what is looser than production sees less, and comes to an end."""

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_policies.checks import Check, Result, Scope, Undecided, Wrong
from ml_policies.resource import MISSING, UNKNOWN
from ml_policies.rule import Parameter, Rule, Severity
from ml_policies.rules.data.stores import LABELS

ENVIRONMENT = "environment"
_NAMES = {"type": "string"}


@dataclass(frozen=True, slots=True)
class fenced:  # noqa: N801 (it reads as the checks beside it)
    """In an experiment, the label that the parameter `tag` names is what a function expects; names have no case."""

    path: str
    last_day: bool = False

    def __call__(self, scope: Scope) -> Iterator[Result]:
        tag = scope.parameters["tag"]
        for path, labels in scope.values(self.path):
            if labels is UNKNOWN:
                yield Undecided(path)
            elif isinstance(labels, Mapping):
                found = {name.casefold(): value for name, value in labels.items()}
                environment, value = found.get(ENVIRONMENT, MISSING), found.get(tag.casefold(), MISSING)
                if environment is UNKNOWN:
                    yield Undecided(f"{path}.{ENVIRONMENT}")
                elif str(environment).casefold() != "experiment":
                    continue
                elif value is UNKNOWN:
                    yield Undecided(f"{path}.{tag}")
                elif expected := self._expected(value, scope.parameters):
                    yield Wrong(f"{path}.{tag}", MISSING if value is None else value, expected)

    def _expected(self, value: Any, parameters: Mapping[str, Any]) -> str | None:
        if not self.last_day:
            classes = parameters["values"]
            allowed = {str(one).casefold() for one in classes}
            return None if str(value).casefold() in allowed else f"one of {', '.join(classes)}"
        try:
            ends = datetime.date.fromisoformat(str(value))
        except ValueError:
            return "its last day, as in 2027-01-31"
        today = datetime.datetime.now(datetime.UTC).date()
        return None if ends >= today else f"a day that is not past; today is {today}"


def _checks(*, last_day: bool) -> dict[str, Check]:
    return {type_: fenced(path, last_day) for type_, path in LABELS.items()}


RULES = (
    Rule(
        "MLB-DAT-015",
        "What keeps data of an experiment says when the experiment ends, and it has not ended.",
        Severity.MEDIUM,
        "Set the label of the last day to one that is to come, or destroy what the experiment has left.",
        checks=_checks(last_day=True),
        parameters={"tag": Parameter("expires-on", _NAMES, "The name of the label or tag.")},
    ),
    Rule(
        "MLB-DAT-016",
        "An experiment keeps no data that is more secret than experiments may see.",
        Severity.HIGH,
        "Take data without what makes it secret, or run the workload in an environment that is held to all rules.",
        checks=_checks(last_day=False),
        parameters={
            "tag": Parameter("classification", _NAMES, "The name of the label or tag."),
            "values": Parameter(
                ["public", "internal", "confidential"],
                {"type": "array", "items": {"type": "string"}},
                "The classes that an experiment may see.",
            ),
        },
    ),
)
