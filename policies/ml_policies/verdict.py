"""The verdict on a stack: what the findings of the rules mean under a configuration, level and exemptions considered.

judge = Judge(Configuration.load(Path("policies.json")))
judge.resource(resource)    # -> judgements of one resource by itself, as the engine shows them in a preview
judge.relations(stack)      # -> judgements between the resources of a stack
judge.stack(stack)          # -> Verdict: all of it, with what passed and what was not applicable
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

from ml_policies.checks import Crashed, Result
from ml_policies.configuration import Configuration
from ml_policies.evaluation import Evaluator, Finding
from ml_policies.exemption import Exemption
from ml_policies.resource import Resource, Stack
from ml_policies.rule import Level, Rule
from ml_policies.rules import RULES


class Outcome(StrEnum):
    """What a rule says of a resource that doesn't simply pass."""

    VIOLATION = "violation"
    EXPIRED = "violation, as its exemption has expired"
    UNDECIDED = "decided at deployment"
    EXEMPTED = "exempted"


class Status(StrEnum):
    """How a rule stands in a whole stack: the worst of its outcomes."""

    VIOLATED = "violated"
    UNDECIDED = "decided at deployment"
    EXEMPTED = "passes with exemptions"
    PASSED = "passed"
    NOT_APPLICABLE = "not applicable"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One rule on one resource. results: what led to the outcome, never empty. exemption: the one that counts, or the
    one that has expired."""

    rule: Rule
    resource: Resource
    outcome: Outcome
    level: Level
    results: tuple[Result, ...]
    exemption: Exemption | None = None

    @property
    def violates(self) -> bool:
        """Whether the rule is broken."""
        return self.outcome in (Outcome.VIOLATION, Outcome.EXPIRED)

    @property
    def blocks(self) -> bool:
        """Whether a deployment must stop.

        What remediation has left broken counts as mandatory, as in the engine; so does a rule that couldn't judge.
        """
        crashed = any(isinstance(result, Crashed) for result in self.results)
        return self.violates and (crashed or self.level in (Level.MANDATORY, Level.REMEDIATE))

    @property
    def message(self) -> str:
        """What was found and, if so, the exemption; without the rule's sentence."""
        found = "; ".join(str(result) for result in self.results)
        return f"{found} ({self.exemption})" if self.exemption else found


@dataclass(frozen=True)
class Verdict:
    """A stack under a configuration.

    rules: how each rule stands. expired: exemptions past their date, each a violation of its own at expired_level,
    whether or not something still needs it. unused: valid exemptions that nothing needed.
    """

    stack: Stack
    judgements: tuple[Judgement, ...]
    rules: Mapping[str, Status]
    expired: tuple[Exemption, ...]
    expired_level: Level
    unused: tuple[Exemption, ...]

    @property
    def blocking(self) -> int:
        """How many reasons there are to stop a deployment: mandatory violations, and exemptions past their date."""
        expired = 0 if self.expired_level is Level.ADVISORY else len(self.expired)
        return expired + sum(judgement.blocks for judgement in self.judgements)

    @property
    def passes(self) -> bool:
        """Whether nothing mandatory is violated."""
        return not self.blocking

    def of(self, *outcomes: Outcome) -> list[Judgement]:
        """The judgements with some outcomes."""
        return [judgement for judgement in self.judgements if judgement.outcome in outcomes]


class Judge:
    """The rules that a configuration leaves enabled, ready to judge. It keeps nothing of what it has seen."""

    def __init__(self, configuration: Configuration, rules: Iterable[Rule] = RULES.values(), today: date | None = None):
        self._configuration = configuration
        self._today = today or datetime.now(UTC).date()
        self.rules = tuple(rules)
        self._levels = {rule.id: configuration.level(rule) for rule in self.rules}
        enabled = [rule for rule in self.rules if self._levels[rule.id] is not Level.DISABLED]
        self.evaluator = Evaluator(enabled, configuration.parameters())

    def level(self, rule: Rule) -> Level:
        """What a violation of a rule does."""
        return self._levels[rule.id]

    @property
    def expired(self) -> tuple[Exemption, ...]:
        """The exemptions past their date, none if their own violations are disabled."""
        if self._configuration.expired_level is Level.DISABLED:
            return ()
        return tuple(one for one in self._configuration.exemptions if one.expired(self._today))

    def resource(self, resource: Resource) -> list[Judgement]:
        """One resource by itself."""
        return self._judged(self.evaluator.resource(resource))

    def relations(self, stack: Stack) -> list[Judgement]:
        """What lies between the resources of a stack."""
        return self._judged(self.evaluator.stack(stack))

    def stack(self, stack: Stack) -> Verdict:
        """A whole stack."""
        judgements = tuple(self._judged(self.evaluator.everything(stack)))
        used = {judgement.exemption for judgement in judgements}
        return Verdict(
            stack=stack,
            judgements=judgements,
            rules=self._statuses(stack, judgements),
            expired=self.expired,
            expired_level=self._configuration.expired_level,
            unused=tuple(
                one for one in self._configuration.exemptions if one not in used and not one.expired(self._today)
            ),
        )

    def _judged(self, findings: Iterable[Finding]) -> list[Judgement]:
        together: dict[tuple[str, str], list[Finding]] = defaultdict(list)
        for finding in findings:
            together[finding.rule.id, finding.resource.urn].append(finding)
        return [self._judgement(group) for group in together.values()]

    def _judgement(self, findings: list[Finding]) -> Judgement:
        rule, resource = findings[0].rule, findings[0].resource
        wrong = tuple(finding.result for finding in findings if not finding.undecided)
        exemption = self._configuration.exemption(rule, resource, self._today)
        if exemption and not exemption.expired(self._today):
            outcome = Outcome.EXEMPTED
        elif not wrong:
            outcome, exemption = Outcome.UNDECIDED, None
        else:
            outcome = Outcome.EXPIRED if exemption else Outcome.VIOLATION
        results = wrong or tuple(finding.result for finding in findings)
        return Judgement(rule, resource, outcome, self._levels[rule.id], results, exemption)

    def _statuses(self, stack: Stack, judgements: Iterable[Judgement]) -> dict[str, Status]:
        outcomes: dict[str, set[Outcome]] = defaultdict(set)
        for judgement in judgements:
            outcomes[judgement.rule.id].add(judgement.outcome)
        types = {resource.type for resource in stack.resources}
        return {rule.id: self._status(rule, types, outcomes[rule.id]) for rule in self.rules}

    def _status(self, rule: Rule, types: set[str], outcomes: set[Outcome]) -> Status:
        if self._levels[rule.id] is Level.DISABLED:
            return Status.DISABLED
        if outcomes & {Outcome.VIOLATION, Outcome.EXPIRED}:
            return Status.VIOLATED
        if Outcome.UNDECIDED in outcomes:
            return Status.UNDECIDED
        if Outcome.EXEMPTED in outcomes:
            return Status.EXEMPTED
        return Status.NOT_APPLICABLE if rule.types.isdisjoint(types) else Status.PASSED
