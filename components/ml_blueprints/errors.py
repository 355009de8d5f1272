"""The one error that a user of ML Blueprints sees for a wrong workload or a wrong stack configuration."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where it was written, what was found there, and what would be right."""

    field: str
    found: str
    right: str

    def __str__(self) -> str:
        return f"{self.field}: found {self.found}; {self.right}"


class BlueprintError(ValueError):
    """Raised before any resource is registered; its text names the source (a file or a stack) and every wrong field."""

    def __init__(self, source: str, problems: Iterable[Problem]):
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))
