"""How the controls of a framework stand, given how the rules do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ml_policies.framework import Control, Framework
from ml_policies.verdict import Status


class Standing(StrEnum):
    """Whether a control is met, as far as infrastructure shows it."""

    MET = "met"
    NOT_MET = "not met"
    UNDECIDED = "decided at deployment"
    NOT_APPLICABLE = "not applicable"
    NOT_CHECKABLE = "not checkable here"


@dataclass(frozen=True, slots=True)
class ControlVerdict:
    """A control and how it stands. rules: how each of its rules does. reason: why it isn't simply met, for people."""

    control: Control
    standing: Standing
    rules: Mapping[str, Status]
    reason: str = ""


def combined(all_statuses: Iterable[Mapping[str, Status]]) -> dict[str, Status]:
    """How the rules stand over several stacks: the worst status of each."""
    worst = list(Status)
    result: dict[str, Status] = {}
    for statuses in all_statuses:
        for id_, status in statuses.items():
            result[id_] = min(status, result.get(id_, status), key=worst.index)
    return result


def controls(framework: Framework, statuses: Mapping[str, Status]) -> list[ControlVerdict]:
    """How each control of a framework stands.

    A control is met only by rules that passed: one that a configuration has switched off shows nothing, and leaves the
    control not checkable; one that passes with exemptions meets it, and the reason says so.
    """
    return [_verdict(control, statuses) for control in framework.controls]


def _verdict(control: Control, statuses: Mapping[str, Status]) -> ControlVerdict:
    if control.not_checkable:
        return ControlVerdict(control, Standing.NOT_CHECKABLE, {}, control.not_checkable)
    rules = {id_: statuses.get(id_, Status.DISABLED) for id_ in control.rules}
    for status, standing in _WORST_FIRST:
        if found := [id_ for id_, one in rules.items() if one is status]:
            reason = "" if status is Status.PASSED else f"{status}: {', '.join(found)}"
            return ControlVerdict(control, standing, rules, reason)
    return ControlVerdict(control, Standing.NOT_APPLICABLE, rules, "no resource of these rules' types")


_WORST_FIRST = (
    (Status.VIOLATED, Standing.NOT_MET),
    (Status.UNDECIDED, Standing.UNDECIDED),
    (Status.DISABLED, Standing.NOT_CHECKABLE),
    (Status.EXEMPTED, Standing.MET),
    (Status.PASSED, Standing.MET),
)
