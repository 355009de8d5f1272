"""Whether to train again: a pure function of what is known, which tells each reason and each veto in words and JSON.

    python -m ml_pipelines.retraining.policy --workload FILE --report drift.json ... --labelled 1200 [--trail FILE]

A reason says why a new model may be better: drift, decay, a schedule, or much more data. A veto says why not now: data
that is broken, too few outcomes, a run or a rollout that goes on, the time since the last run, the budget. One veto is
enough. What is found but isn't what the workload lets start a training is told, too, and decides nothing.
"""

import argparse
import datetime
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import yaml

from ml_pipelines.monitoring.report import Kind, Report
from ml_pipelines.retraining import audit
from ml_pipelines.retraining.events import Ended, Run, What, rolling_out, runs
from ml_pipelines.retraining.schedule import last_due
from ml_pipelines.steps import command

HOUR_MS = 3_600_000
TRIGGERS = ("drift", "schedule", "drift_or_schedule")
# After each run in a row that a gate stopped, the next one waits twice as long, up to eight times.
_DOUBLINGS = 3
_NAMED = 3


class PolicyError(ValueError):
    """A policy that can't be; the message names the field and what would be right."""


class Why(StrEnum):
    """What speaks for training, and what against it."""

    DRIFT = "drift"
    DECAY = "decay"
    SCHEDULE = "schedule"
    VOLUME = "volume"
    BROKEN_DATA = "broken_data"
    FEW_OUTCOMES = "few_outcomes"
    RUNNING = "running"
    ROLLING_OUT = "rolling_out"
    COOL_DOWN = "cool_down"
    BUDGET = "budget"


@dataclass(frozen=True)
class Policy:
    """When a workload is trained again.

    trigger, schedule: as the workload's `retraining` has them; decay counts as drift. patience: so many reports in a
    row must find drift. growth: how many times as many outcomes as the model learned from are a reason by themselves
    (None: they aren't). outcomes: how many must be known to learn from. cool_down_hours: from the beginning of one run
    to the next. silent_hours: after which a run that hasn't told its end is over. run_usd, monthly_usd: what a run
    costs, and all runs of a calendar month may.
    """

    trigger: str = "drift_or_schedule"
    schedule: str | None = None
    patience: int = 1
    growth: float | None = None
    outcomes: int = 500
    cool_down_hours: float = 24.0
    silent_hours: float = 24.0
    run_usd: float = 0.0
    monthly_usd: float | None = None

    def __post_init__(self) -> None:
        if self.trigger not in TRIGGERS:
            raise PolicyError(f"trigger: found `{self.trigger}`; one of {', '.join(TRIGGERS)} is right")
        if (self.trigger != "drift") is not (self.schedule is not None):
            right = "none" if self.trigger == "drift" else "a cron schedule"
            raise PolicyError(f"schedule: found `{self.schedule}`; with trigger `{self.trigger}` {right} is right")
        if self.schedule is not None:
            try:
                last_due(self.schedule, datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC))
            except ValueError as error:
                raise PolicyError(f"schedule: {error}") from error
        least = {"patience": 1, "growth": 1} | dict.fromkeys(
            ("outcomes", "cool_down_hours", "silent_hours", "run_usd", "monthly_usd"), 0
        )
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and not value >= lowest:
                raise PolicyError(f"{name}: found {value}; a number from {lowest} on is right")

    @classmethod
    def of(cls, workload: Mapping[str, Any], **others: Any) -> Self:
        """The policy of a workload: what its `retraining` says, by the same names; `others` come on top.

        Its `budget.monthly_usd` bounds what training may cost, unless `retraining` or `others` say less.
        Raises PolicyError.
        """
        known = {one.name for one in fields(cls)}
        said = {name: value for name, value in workload.get("retraining", {}).items() if name in known}
        whole = workload.get("budget", {}).get("monthly_usd")
        return cls(**({"monthly_usd": whole} | said | others))


@dataclass(frozen=True)
class Situation:
    """What is known when it is decided. Times are milliseconds since 1970.

    reports: of monitors since the model in use was trained, oldest first; labelled: outcomes that are known of what a
    new one would learn from, such as what came since the drift began; learned_from: how many examples the model in use
    learned from; runs: of training, oldest first; challenger: a version that is being rolled out.
    """

    now: int
    reports: Sequence[Report] = ()
    labelled: int = 0
    learned_from: int = 0
    runs: Sequence[Run] = ()
    challenger: str | None = None


@dataclass(frozen=True)
class Because:
    """A reason, a veto, or what was found and doesn't count. until: when a veto of time ends."""

    why: Why
    said: str
    until: int | None = None


@dataclass(frozen=True)
class Decision:
    """What is done, and all that it follows from. not_before: when what time alone forbids is over."""

    retrain: bool
    said: str
    reasons: tuple[Because, ...] = ()
    vetoes: tuple[Because, ...] = ()
    ignored: tuple[Because, ...] = ()
    not_before: int | None = None
    policy: Policy = field(default_factory=lambda: Policy("drift"))

    def as_json(self) -> dict[str, Any]:
        """For files and trails."""
        return asdict(self)


def decide(policy: Policy, situation: Situation) -> Decision:
    """Whether to train now. The same situation always gives the same decision."""
    reasons, ignored = [], []
    for one in _reasons(policy, situation):
        counts = one.why is Why.VOLUME or _lets(policy.trigger, one.why)
        (reasons if counts else ignored).append(one)
    vetoes = list(_vetoes(policy, situation))
    ends = [one.until for one in vetoes if one.until is not None]
    retrain = bool(reasons) and not vetoes
    return Decision(
        retrain,
        _said(policy, reasons, vetoes, ignored),
        tuple(reasons),
        tuple(vetoes),
        tuple(ignored),
        max(ends, default=None),
        policy,
    )


def _lets(trigger: str, why: Why) -> bool:
    return trigger == "drift_or_schedule" or (why is Why.SCHEDULE) is (trigger == "schedule")


def _said(policy: Policy, reasons: Sequence[Because], vetoes: Sequence[Because], ignored: Sequence[Because]) -> str:
    if not reasons:
        but = f" ({'; '.join(one.said for one in ignored)}: the trigger is `{policy.trigger}`)" if ignored else ""
        return f"No training: nothing asks for it{but}."
    why = "; ".join(one.said for one in reasons)
    if vetoes:
        return f"No training now, though {why}: {'; '.join(one.said for one in vetoes)}."
    return f"Train: {why}."


def _reasons(policy: Policy, situation: Situation) -> Iterator[Because]:
    latest = situation.reports[-policy.patience :]
    found = [_drifted(report) for report in latest]
    if len(latest) == policy.patience and all(found):
        row = f" in {policy.patience} reports in a row" if policy.patience > 1 else ""
        yield Because(Why.DRIFT, f"{_listed(found[-1])} drifted{row}")
    decayed = [[one.name for one in report.alarms if one.kind is Kind.CONCEPT] for report in latest]
    if len(latest) == policy.patience and all(decayed):
        alarm = next(one for one in latest[-1].alarms if one.kind is Kind.CONCEPT)
        yield Because(Why.DECAY, f"the model in use is worse than it was: {alarm.reason}")
    if policy.schedule is not None:
        due = last_due(policy.schedule, _moment(situation.now))
        last = situation.runs[-1].started_at if situation.runs else None
        if due is not None and last is not None and due.timestamp() * 1000 > last:
            yield Because(Why.SCHEDULE, f"`{policy.schedule}` was due {due:%Y-%m-%d %H:%M} UTC, after the last run")
        elif due is not None and last is None:
            yield Because(Why.SCHEDULE, f"`{policy.schedule}` was due {due:%Y-%m-%d %H:%M} UTC, and there was no run")
    if policy.growth is not None and situation.labelled >= policy.growth * max(1, situation.learned_from):
        said = f"{situation.labelled:,} outcomes are known, the model in use learned from {situation.learned_from:,}"
        yield Because(Why.VOLUME, said)


def _drifted(report: Report) -> list[str]:
    """What drifted: inputs, scores, what these come from, and values that training never saw, which are drift, too."""
    broken = {id(one) for one in report.broken}
    kinds = (Kind.DATA, Kind.PREDICTION, Kind.ATTRIBUTION, Kind.QUALITY)
    return list(dict.fromkeys(one.name for one in report.alarms if one.kind in kinds and id(one) not in broken))


def _vetoes(policy: Policy, situation: Situation) -> Iterator[Because]:
    if situation.reports:
        report = situation.reports[-1]
        if broken := report.broken:
            names = _listed(list(dict.fromkeys(one.name for one in broken)))
            said = f"data is broken, and a model learns its faults ({names}: {broken[0].reason})"
            yield Because(Why.BROKEN_DATA, said)
    if situation.labelled < policy.outcomes:
        said = f"{situation.labelled:,} outcomes are known to learn from, {policy.outcomes:,} are needed"
        yield Because(Why.FEW_OUTCOMES, said)
    heard = situation.now - round(policy.silent_hours * HOUR_MS)
    if any(run.ended is Ended.RUNNING and run.started_at > heard for run in situation.runs):
        yield Because(Why.RUNNING, "a training is running")
    if situation.challenger is not None:
        yield Because(Why.ROLLING_OUT, f"{situation.challenger} is being rolled out")
    if situation.runs:
        yield from _cooling(policy, situation)
    if policy.monthly_usd is not None:
        yield from _beyond_budget(policy, situation, policy.monthly_usd)


def _cooling(policy: Policy, situation: Situation) -> Iterator[Because]:
    last = situation.runs[-1]
    stopped = 0
    while stopped < len(situation.runs) and situation.runs[-1 - stopped].ended is Ended.STOPPED:
        stopped += 1
    hours = policy.cool_down_hours * 2 ** min(stopped, _DOUBLINGS)
    ends = last.started_at + round(hours * HOUR_MS)
    if situation.now < ends:
        after = f", of which the last {stopped} {'was' if stopped == 1 else 'were'} stopped" if stopped else ""
        said = f"{hours:g} hours are to pass between runs{after}: until {_moment(ends):%Y-%m-%d %H:%M} UTC"
        yield Because(Why.COOL_DOWN, said, ends)


def _beyond_budget(policy: Policy, situation: Situation, monthly_usd: float) -> Iterator[Because]:
    month = _moment(situation.now).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    since = month.timestamp() * 1000
    spent = sum(run.usd for run in situation.runs if run.started_at >= since)
    if spent + policy.run_usd > monthly_usd:
        following = (month + datetime.timedelta(days=32)).replace(day=1)
        said = f"a run costs {policy.run_usd:,.2f} dollars, "
        said += f"{spent:,.2f} of {monthly_usd:,.2f} of {month:%B %Y} are spent"
        # Where one run costs more than a month's budget, no time helps.
        ends = round(following.timestamp() * 1000) if policy.run_usd <= monthly_usd else None
        yield Because(Why.BUDGET, said, ends)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _moment(milliseconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; prints the decision as JSON. 0 where it is to train, 3 where it isn't (0 with --branch)."""
    parser = argparse.ArgumentParser(prog="python -m ml_pipelines.retraining.policy", description=__doc__)
    parser.add_argument("--workload", type=Path, required=True, help="the workload file")
    parser.add_argument("--report", type=Path, action="append", default=[], help="drift.json; oldest first")
    parser.add_argument("--labelled", type=int, default=0, help="outcomes that are known to learn from")
    parser.add_argument("--learned-from", type=int, default=0, help="examples that it learned from")
    parser.add_argument("--trail", help="the audit trail, a file or a URL: it knows runs, and is told the decision")
    parser.add_argument("--as-of", type=command.moment, default=command.moment("now"), help="ISO 8601 (default: now)")
    for one in ("patience", "outcomes"):
        parser.add_argument(f"--{one}", type=int, default=argparse.SUPPRESS)
    for one in ("growth", "cool-down-hours", "silent-hours", "run-usd", "monthly-usd"):
        parser.add_argument(f"--{one}", type=float, default=argparse.SUPPRESS)
    parser.add_argument("--branch", action="store_true", help="end with 0 where it isn't to train, too")
    options = parser.parse_args(arguments)
    given = {one.name: getattr(options, one.name) for one in fields(Policy) if one.name in options}
    try:
        policy = Policy.of(yaml.safe_load(options.workload.read_text(encoding="utf-8")), **given)
        reports = [Report.from_json(json.loads(file.read_text(encoding="utf-8"))) for file in options.report]
        records = audit.kept(options.trail) if options.trail is not None else []
        known = (options.labelled, options.learned_from, runs(records), rolling_out(records))
        decision = decide(policy, Situation(options.as_of, reports, *known))
        if options.trail is not None:
            details = decision.as_json()
            audit.writer(options.trail).append(
                audit.Event("retraining policy", What.DECIDED, decision.said, details=details)
            )
    except (OSError, ValueError, audit.AuditError) as error:
        print(f"policy: {error}", file=sys.stderr)
        return 2
    print(json.dumps(decision.as_json(), indent=2))
    return 0 if decision.retrain or options.branch else command.REFUSED


if __name__ == "__main__":
    sys.exit(main())
