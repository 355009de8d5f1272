"""What the engine does with a policy pack over gRPC, in the messages that it writes."""

from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import analyzer_pb2


def struct(values):
    message = Struct()
    message.update(values)
    return message


def request(type_, properties, name="one"):
    urn = f"urn:pulumi:dev::shop::{type_}::{name}"
    return analyzer_pb2.AnalyzeRequest(type=type_, name=name, urn=urn, properties=struct(properties))


def in_stack(one, needs=(), properties=None):
    return analyzer_pb2.AnalyzerResource(
        type=one.type,
        name=one.name,
        urn=one.urn,
        properties=struct(properties or {}),
        propertyDependencies={"source": analyzer_pb2.AnalyzerPropertyDependencies(urns=[need.urn for need in needs])},
    )


def configure(pack, policies=None, **settings):
    """Configure as the engine does: every policy with its level and its parameters."""
    names = {
        "advisory": analyzer_pb2.ADVISORY,
        "mandatory": analyzer_pb2.MANDATORY,
        "remediate": analyzer_pb2.REMEDIATE,
        "disabled": analyzer_pb2.DISABLED,
    }
    known = {policy.name: policy for policy in pack.GetAnalyzerInfo(Empty()).policies}
    said = {name: {"level": policy.enforcementLevel, "parameters": defaults(policy)} for name, policy in known.items()}
    for name, value in {**(policies or {}), **({"settings": settings} if settings else {})}.items():
        one = said.setdefault(name, {"level": analyzer_pb2.ADVISORY, "parameters": {}})
        if isinstance(value, str):
            one["level"] = names[value]
        else:
            one["parameters"] |= value
    pack.Configure(
        analyzer_pb2.ConfigureAnalyzerRequest(
            policyConfig={
                name: analyzer_pb2.PolicyConfig(enforcementLevel=one["level"], properties=struct(one["parameters"]))
                for name, one in said.items()
            }
        )
    )


def defaults(policy):
    return {name: schema["default"] for name, schema in policy.configSchema.properties.items() if "default" in schema}


def told(answer):
    """Each diagnostic as (policy, level, message)."""
    names = {analyzer_pb2.ADVISORY: "advisory", analyzer_pb2.MANDATORY: "mandatory"}
    return [(one.policyName, names[one.enforcementLevel], one.message) for one in answer.diagnostics]


def not_applicable(answer):
    return {one.policy_name: one.reason for one in answer.not_applicable}
