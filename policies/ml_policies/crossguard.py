"""Our rules as policies of Pulumi's SDK, for organisations that have a pack of their own.

    from ml_policies.crossguard import policies
    PolicyPack("acme", policies=[*policies("MLB-NET-*", "MLB-ENC-001"), our_own_policy])

Each policy is configured in that pack, by its level and its parameters. What the settings of our own pack can do beyond
that, such as exemptions, isn't there, and the SDK reads every resource anew for each of them.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from google.protobuf.json_format import MessageToDict
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    ResourceValidationPolicy,
    Severity,
    StackValidationPolicy,
)
from pulumi_policy.deserialize import serialize_properties
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError

from ml_policies import marks, wire
from ml_policies.checks import Result, Undecided
from ml_policies.evaluation import Evaluator
from ml_policies.resource import Resource, Stack
from ml_policies.rule import Rule
from ml_policies.rules import RULES


def policies(*patterns: str) -> list[Policy]:
    """The policies of the rules whose ids match one of the patterns, by default of all. Raises ValueError."""
    for pattern in patterns:
        if not any(fnmatchcase(id_, pattern) for id_ in RULES):
            raise ValueError(f"{pattern}: there is no such rule in ml-policies")
    chosen = [rule for rule in RULES.values() if not patterns or any(fnmatchcase(rule.id, one) for one in patterns)]
    return [policy for rule in chosen for policy in _policies(rule)]


def _policies(rule: Rule) -> Iterator[Policy]:
    about = {
        "description": rule.sentence,
        "enforcement_level": EnforcementLevel(rule.level.value),
        "severity": Severity(rule.severity.value),
        "tags": list(rule.references),
        "remediation_steps": rule.fix,
        "url": wire.page(rule),
    }
    schemas = {name: wire.schema(parameter) for name, parameter in rule.parameters.items()}
    if schemas:
        about["config_schema"] = PolicyConfigSchema(schemas)
    if rule.checks:
        remedy = (lambda args: _remedied(rule, args)) if rule.remedies else None
        yield ResourceValidationPolicy(
            rule.id, validate=lambda args, report: _validate(rule, args, report), remediate=remedy, **about
        )
    if rule.relations:
        # Two policies of a pack can't have one name.
        name = f"{rule.id}-stack" if rule.checks else rule.id
        yield StackValidationPolicy(name, validate=lambda args, report: _validate_stack(rule, args, report), **about)


def _validate(rule: Rule, args: Any, report: Any) -> None:
    resource = _resource(args)
    findings = _evaluator(rule, args).resource(resource)
    _report([(finding.result, None) for finding in findings], rule, report)


def _validate_stack(rule: Rule, args: Any, report: Any) -> None:
    findings = _evaluator(rule, args).stack(Stack(tuple(_in_stack(one) for one in args.resources)))
    _report([(finding.result, finding.resource.urn) for finding in findings], rule, report)


def _report(results: list[tuple[Result, str | None]], rule: Rule, report: Any) -> None:
    undecided = []
    for result, urn in results:
        if isinstance(result, Undecided):
            undecided.append(result)
        else:
            report(f"{result}\n{rule.fix}", urn)
    if undecided:
        # As the SDK has it: an advice that the policy can't be decided in a preview.
        raise UnknownValueError(UNKNOWN_STRING_VALUE, [undecided[0].path])


def _remedied(rule: Rule, args: Any) -> dict[str, Any] | None:
    resource = _resource(args)
    violated = any(not finding.undecided for finding in _evaluator(rule, args).resource(resource))
    if not violated or resource.type not in rule.remedies:
        return None
    changes = rule.remedies[resource.type](resource.properties) or {}
    return MessageToDict(wire.changed(wire.struct(serialize_properties(args.props)), changes))


def _evaluator(rule: Rule, args: Any) -> Evaluator:
    return Evaluator([rule], {rule.id: args.get_config()})


def _resource(args: Any, needed: frozenset[str] = frozenset()) -> Resource:
    return Resource(
        type=args.resource_type,
        name=args.name,
        urn=args.urn,
        properties=marks.plain(serialize_properties(args.props)),
        parent=args.opts.parent or "",
        depends_on=needed,
        protect=args.opts.protect,
    )


def _in_stack(one: Any) -> Resource:
    by_property = (resource for needed in one.property_dependencies.values() for resource in needed)
    return _resource(one, frozenset(resource.urn for resource in (*one.dependencies, *by_property)))
