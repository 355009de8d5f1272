"""Checks of values that stand at paths or inside of a text that defines jobs, such as the definition of a pipeline."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_policies.checks import Result, Scope, Undecided, Wrong
from ml_policies.resource import UNKNOWN

# Given a value and the parameters of the rule: what is expected instead, or None.
Judge = Callable[[str, Mapping[str, Any]], str | None]


@dataclass(frozen=True, slots=True)
class every:  # noqa: N801 (it reads as the checks beside it)
    """Every text at some paths is judged; with a pattern, every part of it that the pattern finds.

    What a workflow puts in when it runs, `${...}`, is known to no deployment before.
    """

    paths: tuple[str, ...]
    judge: Judge
    pattern: re.Pattern[str] | None = None

    def __call__(self, scope: Scope) -> Iterator[Result]:
        for path in self.paths:
            for where, value in scope.values(path):
                if value is UNKNOWN:
                    yield Undecided(where)
                elif isinstance(value, str):
                    yield from self._judged(where, value, scope.parameters)

    def _judged(self, where: str, text: str, parameters: Mapping[str, Any]) -> Iterator[Result]:
        for found in self.pattern.findall(text) if self.pattern else (text,):
            if found.startswith("${"):
                yield Undecided(where)
            elif expected := self.judge(found, parameters):
                yield Wrong(where, found, expected)
