"""The pack as the engine meets it: over gRPC, with messages as the engine writes them."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from ml_policies import marks
from ml_policies.analyzer import ENVIRONMENT, Analyzer
from ml_policies.checks import Wrong, at_most, equals, present
from ml_policies.rule import Parameter, Rule, Severity
from ml_policies.rules import RULES
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc
from tests.policies.engine import configure, in_stack, not_applicable, request, struct, told

BUCKET, QUEUE, TOPIC = "aws:s3/bucket:Bucket", "aws:sqs/queue:Queue", "gcp:pubsub/topic:Topic"
UNKNOWN = marks.UNKNOWN_TEXT
SIGNATURE = "4dabf18193072939515e22adb298388d"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"


def is_read(resource, stack, parameters):
    if not list(stack.dependents(resource, BUCKET)):
        yield Wrong("name", resource.properties.get("name"), "a bucket that reads it")


def stumbling(scope):
    raise KeyError("size")


ENCRYPTED = Rule(
    "MLB-ENC-001",
    "Data is encrypted.",
    Severity.HIGH,
    "Set kmsKey.",
    checks={BUCKET: present("kmsKey"), QUEUE: present("kms.key")},
    remedies={BUCKET: lambda properties: {"kmsKey": "alias/ours"}},
    references=("checkov:CKV_AWS_1",),
)
SHORT = Rule(
    "MLB-DAT-001",
    "Data is kept no longer than allowed.",
    Severity.LOW,
    "Set a smaller retention.",
    checks={BUCKET: lambda scope: at_most("days", scope.parameters["most"])(scope)},
    parameters={"most": Parameter(30, {"type": "integer", "minimum": 1}, "The most days.")},
)
READ = Rule("MLB-SRV-001", "Queues are read.", Severity.MEDIUM, "Add a reader.", relations={QUEUE: is_read})
ORDERED = Rule("MLB-SRV-002", "Topics are ordered.", Severity.MEDIUM, "Order.", checks={TOPIC: equals("ordered", True)})
STUMBLING = Rule("MLB-CST-001", "Size is right.", Severity.LOW, "Size it.", checks={TOPIC: stumbling})
RULES_HERE = {rule.id: rule for rule in (ENCRYPTED, SHORT, READ, ORDERED, STUMBLING)}


@pytest.fixture
def start():
    """Start a pack with some rules, and return how to call it."""
    servers = []

    def start(rules=RULES_HERE):
        server = grpc.server(ThreadPoolExecutor(1))
        servers.append(server)
        analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Analyzer(rules), server)
        channel = grpc.insecure_channel(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        server.start()
        return analyzer_pb2_grpc.AnalyzerStub(channel)

    yield start
    for server in servers:
        server.stop(None)


@pytest.fixture
def pack(start):
    return start()


def test_each_rule_is_a_policy_of_its_own(pack, monkeypatch):
    monkeypatch.setenv("ML_POLICIES_DOCUMENTATION", "https://example.com/rules")
    info = pack.GetAnalyzerInfo(Empty())
    assert (info.name, info.supportsConfig) == ("ml-policies", True)
    policies = {policy.name: policy for policy in info.policies}
    assert policies.keys() == RULES_HERE.keys() | {"settings"}
    encrypted, short = policies["MLB-ENC-001"], policies["MLB-DAT-001"]
    assert encrypted.description == "Data is encrypted."
    assert encrypted.enforcementLevel == analyzer_pb2.MANDATORY
    assert encrypted.severity == analyzer_pb2.POLICY_SEVERITY_HIGH
    assert encrypted.policy_type == analyzer_pb2.POLICY_TYPE_RESOURCE
    assert encrypted.remediation_steps == "Set kmsKey."
    assert encrypted.url == "https://example.com/rules#encryption"
    assert "checkov:CKV_AWS_1" in encrypted.tags
    assert short.enforcementLevel == analyzer_pb2.ADVISORY
    assert dict(short.configSchema.properties["most"]) == {
        "type": "integer",
        "minimum": 1,
        "default": 30,
        "description": "The most days.",
    }
    assert policies["MLB-SRV-001"].policy_type == analyzer_pb2.POLICY_TYPE_STACK
    assert "exemptions" in policies["settings"].configSchema.properties


def test_the_real_rules_are_all_served(start):
    pack = start(RULES)
    assert {policy.name for policy in pack.GetAnalyzerInfo(Empty()).policies} == RULES.keys() | {"settings"}
    configure(pack)


def test_what_is_wrong_is_told_with_the_sentence_what_was_found_and_the_fix(pack):
    answer = pack.Analyze(request(BUCKET, {"days": 7}))
    assert told(answer) == [
        (
            "MLB-ENC-001",
            "mandatory",
            "Data is encrypted.\nkmsKey: nothing was found; expected is a value\nSet kmsKey.",
        )
    ]


def test_what_is_right_passes_and_other_rules_are_not_applicable(pack):
    answer = pack.Analyze(request(BUCKET, {"kmsKey": "alias/k", "days": 7}))
    assert told(answer) == []
    assert not_applicable(answer).keys() == {"MLB-SRV-002", "MLB-CST-001"}


def test_a_type_that_nobody_knows_passes_every_rule_by(pack):
    answer = pack.Analyze(request("random:index/randomId:RandomId", {"byteLength": 2}))
    assert told(answer) == []
    assert "MLB-ENC-001" in not_applicable(answer)


@pytest.mark.parametrize("value", [UNKNOWN, {SIGNATURE: OUTPUT, "dependencies": []}])
def test_what_a_preview_does_not_know_is_decided_at_deployment(pack, value):
    assert told(pack.Analyze(request(BUCKET, {"kmsKey": value}))) == [
        ("MLB-ENC-001", "advisory", "Data is encrypted.\nkmsKey: decided at deployment"),
        ("MLB-DAT-001", "advisory", "Data is kept no longer than allowed.\ndays: nothing was found; "
         "expected is 30 or less\nSet a smaller retention."),
    ]  # fmt: skip


def test_secrets_and_known_outputs_are_read(pack):
    for value in (marks.secret("alias/k"), {SIGNATURE: OUTPUT, "value": "alias/k", "secret": True}):
        assert told(pack.Analyze(request(BUCKET, {"kmsKey": value, "days": 1}))) == []
    assert told(pack.Analyze(request(BUCKET, {"kmsKey": marks.secret(""), "days": 1})))


def test_assets_archives_and_properties_of_the_wrong_type_are_no_crash(pack):
    archive = {SIGNATURE: ARCHIVE, "assets": {"a": {SIGNATURE: ARCHIVE, "path": "./a"}}}
    assert told(pack.Analyze(request(BUCKET, {"kmsKey": archive, "days": [None, {"a": None}]})))[0][0] == "MLB-DAT-001"
    assert told(pack.Analyze(request(QUEUE, {"kms": "text"})))[0][0] == "MLB-ENC-001"


def test_a_rule_that_crashes_is_a_mandatory_diagnostic_and_stops_no_other(pack):
    answer = told(pack.Analyze(request(TOPIC, {"ordered": False}, "events")))
    assert [(name, level) for name, level, _ in answer] == [("MLB-SRV-002", "mandatory"), ("MLB-CST-001", "mandatory")]
    assert "MLB-CST-001 on events" in answer[1][2]
    assert "KeyError: 'size' (test_analyzer.py, line" in answer[1][2]


def test_levels_and_parameters_are_those_of_the_configuration(pack):
    configure(pack, {"MLB-ENC-001": "advisory", "MLB-DAT-001": {"most": 5}, "MLB-SRV-002": "disabled"})
    assert [one[:2] for one in told(pack.Analyze(request(BUCKET, {"days": 7})))] == [
        ("MLB-ENC-001", "advisory"),
        ("MLB-DAT-001", "advisory"),
    ]
    assert "MLB-SRV-002" not in {one for one, _, _ in told(pack.Analyze(request(TOPIC, {"ordered": False})))}


def test_levels_are_those_of_the_stacks_environment(pack):
    pack.ConfigureStack(analyzer_pb2.AnalyzerStackConfigureRequest(stack="dev", config={ENVIRONMENT: "experiment"}))
    configure(pack, environment="production", levels={"experiment": {"MLB-ENC-*": "advisory"}})
    assert told(pack.Analyze(request(BUCKET, {"days": 7})))[0][:2] == ("MLB-ENC-001", "advisory")


def test_a_mistake_in_the_configuration_stops_everything_with_all_problems(pack):
    with pytest.raises(grpc.RpcError) as raised:
        configure(pack, {"MLB-ENC-002": "advisory", "MLB-DAT-001": {"most": 0}})
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "MLB-ENC-002" in raised.value.details()
    assert "MLB-DAT-001.most: `0` was found; expected is 1 or more" in raised.value.details()


def exemption(expires):
    return {
        "rule": "MLB-ENC-*",
        "urn": "*::legacy",
        "owner": "ml@example.com",
        "reason": "It moves.",
        "ticket": "ML-1",
        "expires": expires,
    }


def test_an_exemption_makes_not_applicable_what_it_covers(pack):
    configure(pack, exemptions=[exemption("2999-01-01")])
    answer = pack.Analyze(request(BUCKET, {"days": 7}, "legacy"))
    assert told(answer) == []
    assert "It moves." in not_applicable(answer)["MLB-ENC-001"]
    assert told(pack.Analyze(request(BUCKET, {"days": 7}, "other")))
    assert told(pack.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest())) == []


def test_an_expired_exemption_is_a_violation_of_its_own(pack):
    configure(pack, exemptions=[exemption("2020-01-01")])
    assert told(pack.Analyze(request(BUCKET, {"days": 7}, "legacy")))[0][:2] == ("MLB-ENC-001", "mandatory")
    ((policy, level, message),) = told(pack.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest()))
    assert (policy, level) == ("settings", "mandatory")
    assert "2020-01-01" in message


def test_relations_are_judged_in_the_stack(pack):
    queue, bucket = (
        request(QUEUE, {"kms": {"key": "k"}}, "queue"),
        request(BUCKET, {"kmsKey": "k", "days": 1}, "bucket"),
    )
    for one in (queue, bucket):
        pack.Analyze(one)
    alone = pack.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=[in_stack(queue), in_stack(bucket)]))
    assert [one[:2] for one in told(alone)] == [("MLB-SRV-001", "mandatory")]
    assert alone.diagnostics[0].urn == queue.urn
    read = [in_stack(queue), in_stack(bucket, needs=[queue])]
    assert told(pack.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=read))) == []
    nothing = pack.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=[in_stack(bucket)]))
    assert not_applicable(nothing).keys() == {"MLB-SRV-001"}


def test_relations_see_what_was_asked_for_and_outputs_only_where_nothing_else_is_known(pack):
    queue = request(QUEUE, {"name": "asked", "kms": {"key": "k"}}, "queue")
    became = in_stack(queue, properties={"name": "became"})
    stack = analyzer_pb2.AnalyzeStackRequest(resources=[became])
    assert "name: `became` was found" in told(pack.AnalyzeStack(stack))[0][2]
    pack.Analyze(queue)
    assert "name: `asked` was found" in told(pack.AnalyzeStack(stack))[0][2]


def test_a_remedy_changes_what_is_wrong_and_keeps_secrets_and_all_else(pack):
    configure(pack, {"MLB-ENC-001": "remediate"})
    before = request(BUCKET, {"days": 7, "password": marks.secret("p"), "kmsKey": marks.secret("")})
    (remediation,) = pack.Remediate(before).remediations
    assert (remediation.policyName, remediation.diagnostic) == ("MLB-ENC-001", "")
    after = analyzer_pb2.AnalyzeRequest(type=BUCKET, name="one", urn="u", properties=remediation.properties)
    assert after.properties == struct({"days": 7, "password": marks.secret("p"), "kmsKey": marks.secret("alias/ours")})
    assert not pack.Remediate(after).remediations
    assert told(pack.Analyze(after)) == []


def test_nothing_is_remedied_at_another_level_nor_under_an_exemption(pack):
    assert not pack.Remediate(request(BUCKET, {})).remediations
    configure(pack, {"MLB-ENC-001": "remediate"}, exemptions=[exemption("2999-01-01")])
    assert not pack.Remediate(request(BUCKET, {}, "legacy")).remediations
    assert not pack.Remediate(request(QUEUE, {})).remediations
    assert told(pack.Analyze(request(QUEUE, {})))[0][:2] == ("MLB-ENC-001", "mandatory")


def test_a_remedy_that_crashes_is_told(start):
    rule = Rule(**{**vars(ENCRYPTED), "remedies": {BUCKET: lambda properties: {"kmsKey": object()}}})
    pack = start({rule.id: rule})
    configure(pack, {rule.id: "remediate"})
    (remediation,) = pack.Remediate(request(BUCKET, {}, "raw")).remediations
    assert "MLB-ENC-001 on raw: its remedy failed" in remediation.diagnostic
    assert not remediation.HasField("properties")
