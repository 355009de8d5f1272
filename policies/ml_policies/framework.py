"""Frameworks: what laws, norms and standards ask for, control by control, and which rules show it.

The data is in frameworks/<id>.yaml: id, title, version, source, and controls, each with id, title and either `rules` or
the reason why infrastructure can't show it, `not_checkable`.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ml_policies.rule import Rule
from ml_policies.rules import RULES

FOLDER = Path(__file__).parent / "frameworks"
_FIELDS = {"id", "title", "version", "source", "controls"}


class FrameworkError(ValueError):
    """A framework's file that is not as it must be; the message says which, and what is wrong."""


@dataclass(frozen=True, slots=True)
class Control:
    """One demand of a framework. not_checkable: why infrastructure can't show it; empty where rules can."""

    id: str
    title: str
    rules: tuple[str, ...] = ()
    not_checkable: str = ""


@dataclass(frozen=True, slots=True)
class Framework:
    """A framework in one version. source: where its text is."""

    id: str
    title: str
    version: str
    source: str
    controls: tuple[Control, ...]

    @property
    def rules(self) -> frozenset[str]:
        """The ids of all rules that show something of it: the pack of this framework."""
        return frozenset(id_ for control in self.controls for id_ in control.rules)

    def controls_of(self, rule: Rule) -> list[str]:
        """The ids of the controls that a rule shows something of."""
        return [control.id for control in self.controls if rule.id in control.rules]


@functools.cache
def frameworks() -> Mapping[str, Framework]:
    """All frameworks by id. Raises FrameworkError."""
    found = [read_framework(file) for file in sorted(FOLDER.glob("*.yaml"))]
    return {framework.id: framework for framework in found}


def read_framework(file: Path, rules: Mapping[str, Rule] = RULES) -> Framework:
    """The framework that a file holds, named as its id. Raises FrameworkError with everything that is wrong."""
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise FrameworkError(f"{file} can't be read: {error}") from None
    if problems := list(_problems(content, file.stem, rules)):
        raise FrameworkError("\n".join(f"{file}: {problem}" for problem in problems))
    return Framework(
        content["id"],
        content["title"],
        str(content["version"]),
        content["source"],
        tuple(
            Control(str(one["id"]), one["title"], tuple(one.get("rules", ())), one.get("not_checkable", ""))
            for one in content["controls"]
        ),
    )


def _problems(content: Any, id_: str, rules: Mapping[str, Rule]) -> Iterator[str]:
    if not isinstance(content, dict) or content.keys() != _FIELDS or not isinstance(content["controls"], list):
        yield f"expected are the fields {', '.join(sorted(_FIELDS))}, with a list of controls"
        return
    if content["id"] != id_:
        yield f"id: `{content['id']}` was found; expected is the file's name, `{id_}`"
    seen: set[str] = set()
    for index, control in enumerate(content["controls"]):
        where = f"controls[{index}]"
        if not isinstance(control, dict) or not {"id", "title"} <= control.keys():
            yield f"{where}: expected are id and title"
            continue
        where = f"{where} ({control['id']})"
        if control.keys() - {"id", "title"} not in ({"rules"}, {"not_checkable"}):
            yield f"{where}: expected is either rules or not_checkable beside id and title"
        elif "not_checkable" in control and not (
            isinstance(control["not_checkable"], str) and control["not_checkable"]
        ):
            yield f"{where}: not_checkable must be a reason"
        elif "rules" in control and not (isinstance(control["rules"], list) and control["rules"]):
            yield f"{where}: rules must be a list of ids"
        for rule in control.get("rules") or ():
            if rule not in rules:
                yield f"{where}: there is no rule {rule}"
        if str(control["id"]) in seen:
            yield f"{where}: the id is taken"
        seen.add(str(control["id"]))
