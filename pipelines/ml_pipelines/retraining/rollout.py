"""How a challenger comes into use: as a shadow, as a canary, as the champion; and how it is taken back.

What runs is the scoring service (`ml_pipelines.serving`); here its routing table is written, and what it captured is
judged. A stage ends when outcomes say so, which is looked at again and again: each look has to be surer than one alone.

- shadow: sees copies of all requests. It goes on if it is surely better, and is rejected if it is surely worse, or if
  it can't be told after so many outcomes: whoever isn't better isn't worth the change.
- canary: answers a share. It goes back if the service withdrew it, or if its answers are surely worse than the
  champion's at the same time.
- probation: it is the champion, and the one before it is a shadow. It is rolled back if that is surely better.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from ml_pipelines.retraining.audit import Event, Trail
from ml_pipelines.retraining.events import What
from ml_pipelines.retraining.performance import Performance
from ml_pipelines.serving.comparison import Comparison
from ml_pipelines.serving.table import Role

WHO = "rollout"


class Stage(StrEnum):
    """How far a challenger has come. `settled`: one version runs alone."""

    SETTLED = "settled"
    SHADOW = "shadow"
    CANARY = "canary"
    PROBATION = "probation"


class Verdict(StrEnum):
    """What a stage ends with, or that it doesn't end yet."""

    WAIT = "wait"
    ON = "on"
    BACK = "back"


@dataclass(frozen=True)
class Rules:
    """What a challenger is held to.

    looks: how often each stage may be looked at: a look is as sure as `significance` by so many. shadow_outcomes: after
    so many it is decided. canary_percent: of the entities; canary_outcomes: so many of its own answers at least.
    probation_outcomes: after so many the predecessor is let go.
    """

    significance: float = 0.05
    looks: int = 20
    shadow_outcomes: int = 4000
    canary_percent: int = 20
    canary_outcomes: int = 150
    probation_outcomes: int = 4000

    @property
    def level(self) -> float:
        """How sure one look has to be."""
        return self.significance / self.looks


@dataclass(frozen=True)
class Judgement:
    """What is done with a challenger, and why."""

    verdict: Verdict
    said: str


@dataclass(frozen=True)
class Evidence:
    """What is known of a stage: the comparison of champion and shadow, performances by version, who was withdrawn."""

    comparison: Comparison | None = None
    performances: Mapping[str, Performance] | None = None
    withdrawn: Mapping[str, str] | None = None


def judge_shadow(found: Comparison | None, rules: Rules) -> Judgement:
    """Whether a shadow goes on. `found` was compared at `rules.level`."""
    if found is None or not found.compared:
        return Judgement(Verdict.WAIT, "no outcome is known of what both scored")
    if found.verdict.startswith(f"{found.shadow} is better"):
        return Judgement(Verdict.ON, f"{found.verdict}; {_losses(found)}")
    if found.verdict.startswith(f"{found.champion} is better"):
        return Judgement(Verdict.BACK, f"{found.verdict}; {_losses(found)}")
    if found.compared >= rules.shadow_outcomes:
        return Judgement(Verdict.BACK, f"not better after {found.compared:,} outcomes; {_losses(found)}")
    return Judgement(Verdict.WAIT, found.verdict)


def judge_canary(champion: str, canary: str, evidence: Evidence, rules: Rules) -> Judgement:
    """Whether a canary goes on: by the service's guard first, then by the losses of both, of answers with outcomes."""
    if why := (evidence.withdrawn or {}).get(canary):
        return Judgement(Verdict.BACK, f"the service withdrew it: {why}")
    ours, theirs = ((evidence.performances or {}).get(key) for key in (champion, canary))
    if theirs is None or theirs.rows < rules.canary_outcomes or not theirs.metrics:
        rows = theirs.rows if theirs is not None else 0
        return Judgement(Verdict.WAIT, f"{rows:,} of its answers have an outcome, {rules.canary_outcomes:,} are needed")
    if ours is None or not ours.metrics:
        return Judgement(Verdict.WAIT, f"too few answers of {champion} have an outcome")
    name = next(iter(theirs.metrics))
    before, now = ours.metrics[name], theirs.metrics[name]
    said = f"its {name} is {now}, that of {champion} {before}, of {theirs.rows:,} and {ours.rows:,} answers"
    # Each entity is answered by one of them, so that the two are independent.
    if now.low > before.high:
        return Judgement(Verdict.BACK, f"it is surely worse: {said}")
    return Judgement(Verdict.ON, f"it isn't worse: {said}")


def judge_probation(found: Comparison | None, rules: Rules) -> Judgement:
    """Whether the new champion stays: its predecessor is the shadow."""
    if found is None or not found.compared:
        return Judgement(Verdict.WAIT, "no outcome is known of what both scored")
    if found.verdict.startswith(f"{found.shadow} is better"):
        return Judgement(Verdict.BACK, f"its predecessor does better: {found.verdict}; {_losses(found)}")
    return Judgement(Verdict.WAIT, found.verdict)


def _losses(found: Comparison) -> str:
    return (
        f"{found.loss} {found.champion_loss:.4f} by {found.champion}, {found.shadow_loss:.4f} by {found.shadow}, "
        f"of {found.compared:,} outcomes"
    )


class Rollout:
    """What runs, and how it changes. `put` takes the routing table's models, and returns when they are served.

    Each change is an event of the trail, with the hash of the version that it is about (`hashes`, by its key).
    """

    def __init__(
        self,
        champion: str,
        put: Callable[[Sequence[Mapping[str, Any]]], None],
        trail: Trail,
        rules: Rules,
        hashes: Callable[[str], Mapping[str, str]],
    ) -> None:
        self.champion, self.rules = champion, rules
        self.other: str | None = None
        self.stage = Stage.SETTLED
        self._put, self._trail, self._hashes = put, trail, hashes

    @property
    def models(self) -> list[dict[str, Any]]:
        """The models of the routing table, as the stage has them."""
        if self.other is None:
            return [_entry(self.champion, Role.CHAMPION, 100)]
        if self.stage is Stage.CANARY:
            share = self.rules.canary_percent
            return [_entry(self.champion, Role.CHAMPION, 100 - share), _entry(self.other, Role.CANARY, share)]
        return [_entry(self.champion, Role.CHAMPION, 100), _entry(self.other, Role.SHADOW, 100)]

    def start(self, challenger: str) -> None:
        """Let a registered challenger see copies of all requests."""
        if self.stage is Stage.PROBATION:
            # The predecessor is let go for it.
            self._end()
        if self.stage is not Stage.SETTLED:
            raise ValueError(f"{self.other} is being rolled out; {challenger} has to wait")
        self._change(Stage.SHADOW, self.champion, challenger)
        self._tell(What.SHADOW, challenger, "It sees copies of all requests, and answers none.")

    def look(self, evidence: Evidence, seen: int) -> Judgement:
        """Judge the stage, and do what follows. seen: outcomes since the stage began. Without a challenger: wait."""
        if self.other is None:
            return Judgement(Verdict.WAIT, f"{self.champion} runs alone")
        champion, other = self.champion, self.other
        if self.stage is Stage.SHADOW:
            judged = judge_shadow(evidence.comparison, self.rules)
            details = _details(evidence.comparison)
            if judged.verdict is Verdict.ON:
                self._tell(What.SHADOW_JUDGED, other, judged.said, details)
                self._change(Stage.CANARY, champion, other)
                self._tell(What.CANARY, other, f"It answers {self.rules.canary_percent}% of the entities.")
            elif judged.verdict is Verdict.BACK:
                self._reject(What.SHADOW_JUDGED, other, judged, details)
        elif self.stage is Stage.CANARY:
            judged = judge_canary(champion, other, evidence, self.rules)
            if judged.verdict is Verdict.ON:
                self._tell(What.CANARY_JUDGED, other, judged.said)
                self._change(Stage.PROBATION, other, champion)
                self._tell(
                    What.PROMOTED, other, f"Better as a shadow, not worse as a canary; {champion} becomes a shadow."
                )
            elif judged.verdict is Verdict.BACK:
                self._tell(What.CANARY_JUDGED, other, judged.said)
                self._end()
                self._tell(What.ROLLED_BACK, other, f"{champion} answers all again: {judged.said}")
        else:
            judged = judge_probation(evidence.comparison, self.rules)
            if judged.verdict is Verdict.BACK:
                self._change(Stage.SETTLED, other, None)
                details = _details(evidence.comparison)
                self._tell(What.ROLLED_BACK, champion, f"{other} answers all again: {judged.said}", details)
            elif seen >= self.rules.probation_outcomes:
                judged = Judgement(Verdict.ON, f"{seen:,} outcomes, and its predecessor isn't better")
                self._end()
        return judged

    def _reject(self, what: What, challenger: str, judged: Judgement, details: Mapping[str, Any]) -> None:
        self._tell(what, challenger, judged.said, details)
        self._end()
        self._tell(What.REJECTED, challenger, f"{self.champion} stays: {judged.said}")

    def _end(self) -> None:
        self._change(Stage.SETTLED, self.champion, None)

    def _change(self, stage: Stage, champion: str, other: str | None) -> None:
        """Serve what the stage has; where the service doesn't take it, all stays as it was."""
        before = self.stage, self.champion, self.other
        self.stage, self.champion, self.other = stage, champion, other
        try:
            self._put(self.models)
        except BaseException:
            self.stage, self.champion, self.other = before
            raise

    def _tell(self, what: What, version: str, why: str, details: Mapping[str, Any] | None = None) -> None:
        self._trail.append(Event(WHO, what, why, version, self._hashes(version), details or {}))


def _details(found: Comparison | None) -> dict[str, Any]:
    return {} if found is None else {"comparison": asdict(found)}


def _entry(key: str, role: Role, traffic: int) -> dict[str, Any]:
    name, _, version = key.partition("/")
    return {"name": name, "version": version, "role": role.value, "traffic": traffic}
