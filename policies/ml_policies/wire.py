"""Translates the messages of the engine: resources come in, descriptions of rules and diagnostics go out."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value
from pulumi.runtime.proto import analyzer_pb2

from ml_policies import marks
from ml_policies.resource import MISSING, UNKNOWN, Resource, Stack
from ml_policies.rule import Level, Parameter, Rule, Severity
from ml_policies.rules import GROUPS

PACK = "ml-policies"

LEVELS = {
    Level.ADVISORY: analyzer_pb2.ADVISORY,
    Level.MANDATORY: analyzer_pb2.MANDATORY,
    Level.REMEDIATE: analyzer_pb2.REMEDIATE,
    Level.DISABLED: analyzer_pb2.DISABLED,
}
SEVERITIES = {
    Severity.LOW: analyzer_pb2.POLICY_SEVERITY_LOW,
    Severity.MEDIUM: analyzer_pb2.POLICY_SEVERITY_MEDIUM,
    Severity.HIGH: analyzer_pb2.POLICY_SEVERITY_HIGH,
    Severity.CRITICAL: analyzer_pb2.POLICY_SEVERITY_CRITICAL,
}


def resource(request: analyzer_pb2.AnalyzeRequest | analyzer_pb2.AnalyzerResource) -> Resource:
    """The resource that a message is about."""
    return Resource(
        type=request.type,
        name=request.name,
        urn=request.urn,
        properties=marks.plain(_read(request.properties)),
        parent=request.options.parent,
        protect=request.options.protect,
    )


def stack(request: analyzer_pb2.AnalyzeStackRequest, known: Mapping[str, Resource]) -> Stack:
    """All resources of a stack. `known` are those that have been read before, by URN.

    Here the engine tells what resources have become, before it told what they were to be. Rules judge the latter,
    which a saved state has too, and which needs no second reading.
    """
    return Stack(tuple(_in_stack(one, known.get(one.urn) or resource(one)) for one in request.resources))


def policy(rule: Rule, tags: Iterable[str]) -> analyzer_pb2.PolicyInfo:
    """A rule as the engine knows policies."""
    properties = {name: schema(parameter) for name, parameter in rule.parameters.items()}
    return analyzer_pb2.PolicyInfo(
        name=rule.id,
        description=rule.sentence,
        enforcementLevel=LEVELS[rule.level],
        severity=SEVERITIES[rule.severity],
        policy_type=_kind(rule),
        configSchema=analyzer_pb2.PolicyConfigSchema(properties=struct(properties)) if properties else None,
        tags=tags,
        remediation_steps=rule.fix,
        url=page(rule),
    )


def schema(parameter: Parameter) -> dict[str, Any]:
    """The JSON schema of a parameter, with its meaning and default."""
    described = {"description": parameter.meaning, **parameter.schema}
    return described if parameter.default is MISSING else {**described, "default": parameter.default}


def page(rule: Rule) -> str:
    """Where a rule is described: in its group's part of docs/rules.md, if that is published anywhere."""
    published = os.environ.get("ML_POLICIES_DOCUMENTATION", "")
    group = next((group for group, part in GROUPS.items() if rule.id.startswith(f"MLB-{part}-")), "")
    return f"{published}#{group.replace('_', '-')}" if published and group else published


def diagnostic(rule: Rule, text: str, level: Level, urn: str = "") -> analyzer_pb2.AnalyzeDiagnostic:
    """What the engine shows beneath a resource, or beneath the stack if none is named."""
    return analyzer_pb2.AnalyzeDiagnostic(
        policyName=rule.id,
        policyPackName=PACK,
        description=rule.sentence,
        message=f"{rule.sentence}\n{text}",
        enforcementLevel=LEVELS[level],
        severity=SEVERITIES[rule.severity],
        urn=urn,
    )


def remediation(rule: Rule, properties: Struct | None = None, diagnostic: str = "") -> analyzer_pb2.Remediation:
    """What a remedy makes of a resource, or why it makes nothing."""
    return analyzer_pb2.Remediation(
        policyName=rule.id,
        policyPackName=PACK,
        description=rule.sentence,
        properties=properties,
        diagnostic=diagnostic,
    )


def configuration(request: analyzer_pb2.ConfigureAnalyzerRequest) -> dict[str, Any]:
    """The levels and parameters by policy, in the form of a configuration file."""
    names = {number: level.value for level, number in LEVELS.items()}
    return {
        name: {**marks.plain(_read(policy.properties)), "enforcementLevel": names[policy.enforcementLevel]}
        for name, policy in request.policyConfig.items()
    }


def changed(properties: Struct, changes: Mapping[str, Any]) -> Struct:
    """Properties with some of them changed; what held a secret is one as a whole."""
    result = Struct()
    result.CopyFrom(properties)
    for name, value in changes.items():
        written = _written(value)
        if name in properties.fields and marks.holds_secret(_value(properties.fields[name])):
            written = _written(marks.secret(_value(written)))
        result.fields[name].CopyFrom(written)
    return result


def struct(values: Mapping[str, Any]) -> Struct:
    """Values as a message."""
    return Struct(fields={name: _written(value) for name, value in values.items()})


def _in_stack(message: analyzer_pb2.AnalyzerResource, one: Resource) -> Resource:
    by_property = (urn for needed in message.propertyDependencies.values() for urn in needed.urns)
    return replace(one, parent=message.parent, depends_on=frozenset((*message.dependencies, *by_property)))


def _kind(rule: Rule) -> analyzer_pb2.PolicyType.ValueType:
    if rule.checks and rule.relations:
        # The engine counts what is of no kind both for each resource and for the stack.
        return analyzer_pb2.POLICY_TYPE_UNKNOWN
    return analyzer_pb2.POLICY_TYPE_RESOURCE if rule.checks else analyzer_pb2.POLICY_TYPE_STACK


def _read(message: Struct) -> dict[str, Any]:
    return {name: _value(value) for name, value in message.fields.items()}


def _value(message: Value) -> Any:
    match message.WhichOneof("kind"):
        case "string_value":
            return message.string_value
        case "struct_value":
            return _read(message.struct_value)
        case "list_value":
            return [_value(item) for item in message.list_value.values]
        case "bool_value":
            return message.bool_value
        case "number_value":
            number = message.number_value
            return int(number) if number.is_integer() else number
    return None


def _written(value: Any) -> Value:
    match value:
        case None:
            return Value(null_value=NULL_VALUE)
        case bool():
            return Value(bool_value=value)
        case int() | float():
            return Value(number_value=value)
        case str():
            return Value(string_value=value)
        case Mapping():
            return Value(struct_value=struct(value))
        case _ if value is UNKNOWN:
            return Value(string_value=marks.UNKNOWN_TEXT)
        case Iterable():
            return Value(list_value=ListValue(values=[_written(item) for item in value]))
    raise TypeError(f"{value!r} is no value of a property")
