"""Serves the rules to the Pulumi engine, by the protocol that it speaks with policy packs.

The SDK for policy packs reads a resource anew for each of its policies; here it is read once, and only the rules of its
type are asked. For the engine each rule is a policy all the same, with a level and parameters of its own, beside one
more, `settings`, which carries what the engine has no place for (see configuration.py).

https://github.com/pulumi/pulumi/blob/master/proto/pulumi/analyzer.proto
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc, plugin_pb2
from pulumi.runtime.proto.analyzer_pb2 import AnalyzeRequest, AnalyzeResponse

from ml_policies import wire
from ml_policies.checks import MISSING, Crashed
from ml_policies.configuration import Configuration
from ml_policies.configuration_file import SETTINGS, SETTINGS_SCHEMA, ConfigurationError
from ml_policies.evaluation import describe
from ml_policies.framework import frameworks
from ml_policies.resource import Resource
from ml_policies.rule import Level, Parameter, Rule, Severity
from ml_policies.rules import RULES
from ml_policies.verdict import Judge, Judgement, Outcome

# Where the stack's own configuration says its environment.
ENVIRONMENT = "ml-blueprints:environment"
_LARGEST_MESSAGE = 400 * 2**20

# What the engine has no place for, told to it as one more rule.
_SETTINGS = Rule(
    id=SETTINGS,
    sentence="No exemption outlives its last day.",
    severity=Severity.MEDIUM,
    fix="Put right what it exempts and remove it, or agree with its owner on another day.",
    parameters={
        name: Parameter(MISSING, schema, schema.get("description", ""))
        for name, schema in SETTINGS_SCHEMA["properties"].items()
    },
)


class Analyzer(analyzer_pb2_grpc.AnalyzerServicer):
    """The engine's partner in one operation on one stack; the names of its methods are the protocol's."""

    def __init__(self, rules: Mapping[str, Rule] = RULES):
        self._rules = rules
        self._environment = ""
        # What has been judged by itself, by URN, for the judgement between resources.
        self._seen: dict[str, Resource] = {}
        self._set(Configuration(rules=rules))

    def _set(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._judge = Judge(configuration, self._rules.values())
        self._remedying = [rule for rule in self._rules.values() if self._judge.level(rule) is Level.REMEDIATE]
        # By type, the answer about a resource on which no rule finds anything.
        self._silent: dict[str, AnalyzeResponse] = {}
        # Without it the engine would take every rule for one that has passed.
        self._nothing_remedied = analyzer_pb2.RemediateResponse(
            not_applicable=[_not_applicable(rule, "it has nothing to remedy") for rule in self._judge.evaluator.rules]
        )

    def Handshake(  # noqa: N802
        self, request: analyzer_pb2.AnalyzerHandshakeRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.AnalyzerHandshakeResponse:
        """The engine says where it is; it is never called back."""
        return analyzer_pb2.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:  # noqa: N802
        """Nothing: the version of the pack is in PulumiPolicy.yaml."""
        return plugin_pb2.PluginInfo()

    def GetAnalyzerInfo(self, request: Empty, context: grpc.ServicerContext) -> analyzer_pb2.AnalyzerInfo:  # noqa: N802
        """What the pack is and which policies it has."""
        tags = defaultdict(list)
        for framework in frameworks().values():
            for control in framework.controls:
                for id_ in control.rules:
                    tags[id_].append(f"{framework.id}:{control.id}")
        return analyzer_pb2.AnalyzerInfo(
            name=wire.PACK,
            supportsConfig=True,
            policies=[
                *(wire.policy(rule, (*tags[rule.id], *rule.references)) for rule in self._rules.values()),
                wire.policy(_SETTINGS, ()),
            ],
        )

    def ConfigureStack(  # noqa: N802
        self, request: analyzer_pb2.AnalyzerStackConfigureRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.AnalyzerStackConfigureResponse:
        """Whose stack it is: its environment counts before that of the pack's configuration."""
        self._environment = request.config.get(ENVIRONMENT, "")
        return analyzer_pb2.AnalyzerStackConfigureResponse()

    def Configure(  # noqa: N802
        self, request: analyzer_pb2.ConfigureAnalyzerRequest, context: grpc.ServicerContext
    ) -> Empty:
        """Levels, parameters and settings. With a mistake in them the engine doesn't even start."""
        try:
            self._set(Configuration.load(wire.configuration(request), self._environment, rules=self._rules))
        except ConfigurationError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return Empty()

    def Analyze(self, request: AnalyzeRequest, context: grpc.ServicerContext) -> AnalyzeResponse:  # noqa: N802
        """One resource by itself, as it is to be."""
        resource = self._seen[request.urn] = wire.resource(request)
        silent = self._silent.get(resource.type)
        if silent is None:
            silent = self._silent[resource.type] = self._not_guarding({resource.type}, lambda rule: rule.checks)
        judgements = self._judge.resource(resource)
        return _answer(silent, judgements) if judgements else silent

    def AnalyzeStack(  # noqa: N802
        self, request: analyzer_pb2.AnalyzeStackRequest, context: grpc.ServicerContext
    ) -> AnalyzeResponse:
        """The resources of a stack, as they stand to each other."""
        stack = wire.stack(request, self._seen)
        silent = self._not_guarding({resource.type for resource in stack.resources}, lambda rule: rule.relations)
        answer = _answer(silent, self._judge.relations(stack))
        for one in self._judge.expired:
            text = f"{one.rule} on {one.urn}: {one}\n{_SETTINGS.fix}"
            answer.diagnostics.append(wire.diagnostic(_SETTINGS, text, self._configuration.expired_level))
        return answer

    def Remediate(  # noqa: N802
        self, request: AnalyzeRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.RemediateResponse:
        """Puts right what rules at level `remediate` find wrong and have a safe value for."""
        remedies = {rule.id: rule.remedies[request.type] for rule in self._remedying if request.type in rule.remedies}
        if not remedies:
            return self._nothing_remedied
        answer = analyzer_pb2.RemediateResponse()
        resource, properties = wire.resource(request), request.properties
        for judgement in self._judge.resource(resource):
            rule = judgement.rule
            if rule.id not in remedies or not judgement.violates:
                continue
            try:
                changes = remedies[rule.id](resource.properties) or {}
                properties = wire.changed(properties, changes)
            except Exception as error:
                text = f"{rule.id} on {resource.name}: its remedy failed, an error in ml-policies: {describe(error)}"
                answer.remediations.append(wire.remediation(rule, diagnostic=text))
            else:
                resource = replace(resource, properties={**resource.properties, **changes})
                answer.remediations.append(wire.remediation(rule, properties=properties))
        remedied = {one.policyName for one in answer.remediations}
        answer.not_applicable.extend(
            one for one in self._nothing_remedied.not_applicable if one.policy_name not in remedied
        )
        return answer

    def Cancel(self, request: Empty, context: grpc.ServicerContext) -> Empty:  # noqa: N802
        """Nothing takes so long that it would have to be stopped."""
        return Empty()

    def _not_guarding(self, types: Collection[str], guarded: Callable[[Rule], Collection[str]]) -> AnalyzeResponse:
        """The answer that names the rules which guard something in this way, but none of these types."""
        return AnalyzeResponse(
            not_applicable=[
                _not_applicable(rule, "there is no resource of the types that it guards")
                for rule in self._judge.evaluator.rules
                if guarded(rule) and not any(type_ in guarded(rule) for type_ in types)
            ]
        )


def _answer(silent: AnalyzeResponse, judgements: Iterable[Judgement]) -> AnalyzeResponse:
    answer = AnalyzeResponse()
    answer.CopyFrom(silent)
    for judgement in judgements:
        rule, resource, text = judgement.rule, judgement.resource, judgement.message
        # What a remedy has left broken counts as mandatory.
        level = Level.MANDATORY if judgement.blocks else Level.ADVISORY
        if judgement.outcome is Outcome.EXEMPTED:
            answer.not_applicable.append(_not_applicable(rule, text))
            # The engine keeps reasons to itself, but shows what a pack prints.
            print(f"{rule.id} is exempted on {resource.name}: {text}", flush=True)
            continue
        if any(isinstance(result, Crashed) for result in judgement.results):
            level, text = Level.MANDATORY, f"{rule.id} on {resource.name}: {text}"
        elif judgement.violates:
            text = f"{text}\n{rule.fix}"
        answer.diagnostics.append(wire.diagnostic(rule, text, level, resource.urn))
    return answer


def _not_applicable(rule: Rule, reason: str) -> analyzer_pb2.PolicyNotApplicable:
    return analyzer_pb2.PolicyNotApplicable(policy_name=rule.id, reason=reason)


def serve(rules: Mapping[str, Rule] = RULES) -> None:
    """Serve until the engine ends this process; the port is told to it on standard output."""
    options = [
        ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
        ("grpc.max_send_message_length", _LARGEST_MESSAGE),
    ]
    server = grpc.server(ThreadPoolExecutor(max_workers=4), options=options)
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Analyzer(rules), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()
