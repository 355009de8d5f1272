"""The policy pack on the real engine: what passes, what is refused and how that is said, before anything is created."""

import json
import re
from pathlib import Path

import pytest
from ml_policies.configuration import Configuration
from ml_policies.rules import RULES
from ml_policies.state import read_state
from ml_policies.verdict import Judge

POLICIES = Path(__file__).parents[2] / "policies"
OPEN = RULES["MLB-NET-023"].sentence

# By stack, what some code of the user changes behind the components' back: it lets the whole internet in.
OPENED = {
    "aws-batch": ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", {"cidrIpv4": "0.0.0.0/0"}),
    "gcp-batch": ("gcp:compute/firewall:Firewall", {"direction": "INGRESS", "sourceRanges": ["0.0.0.0/0"]}),
    "azure-batch": (
        "azure-native:network:NetworkSecurityGroup",
        {
            "securityRules": [
                {
                    "name": "all",
                    "access": "Allow",
                    "direction": "Inbound",
                    "protocol": "*",
                    "priority": 100,
                    "sourceAddressPrefix": "*",
                    "sourcePortRange": "*",
                    "destinationAddressPrefix": "*",
                    "destinationPortRange": "443",
                }
            ]
        },
    ),
}
_TRANSFORM = """
import pulumi


def changed(args):
    if args.type_ == {type!r}:
        args.props.update({properties!r})
    return pulumi.ResourceTransformResult(args.props, args.opts)


pulumi.runtime.register_resource_transform(changed)
"""
_PACK = """
name: own
version: 0.0.1
runtime: {name: python, options: {toolchain: pip, virtualenv: .venv}}
"""
_STRICT = {
    "MLB-DAT-003": {"allowed_regions": ["mars-north-1"]},
    "MLB-DAT-001": {"enforcementLevel": "advisory", "tag": "unheard-of"},
}


def change_program(playground, stack):
    """Let the program of all stacks change what OPENED says of this one."""
    type_, properties = OPENED[stack]
    program = playground.repository / "stacks" / "__main__.py"
    program.write_text(_TRANSFORM.format(type=type_, properties=properties) + program.read_text())


@pytest.fixture
def pack(playground):
    """Options with which a command runs our pack, with a configuration if one is given."""

    def options(configuration=None):
        if configuration is None:
            return ("--policy-pack", str(POLICIES))
        file = playground.repository / "policies.json"
        file.write_text(configuration if isinstance(configuration, str) else json.dumps(configuration))
        return ("--policy-pack", str(POLICIES), "--policy-pack-config", str(file))

    return options


@pytest.fixture
def own_pack(tmp_path, monkeypatch):
    """Options with which a command runs a pack that an organisation wrote, beside which ml-policies is installed."""
    monkeypatch.setenv("PYTHONPATH", str(POLICIES))

    def options(program):
        folder = tmp_path / "own"
        folder.mkdir()
        (folder / "PulumiPolicy.yaml").write_text(_PACK)
        (folder / "__main__.py").write_text(program)
        (folder / ".venv").symlink_to(POLICIES / ".venv")
        return ("--policy-pack", str(folder))

    return options


@pytest.mark.parametrize("stack", OPENED)
def test_a_stack_passes_up_and_its_saved_state_has_the_same_verdicts_in_every_way(playground, pack, tmp_path, stack):
    playground.pulumi("stack", "init", stack, "--no-select")
    printed = playground.pulumi("up", "--yes", "--skip-preview", "--stack", stack, *pack())
    assert "ml-policies" in printed
    assert "[mandatory]" not in printed

    file = tmp_path / "export.json"
    playground.pulumi("stack", "export", "--stack", stack, "--file", str(file))
    analyzed = playground.pulumi("policy", "analyze", "--file", str(file), "--json", *pack(_STRICT), fails=True)
    events = [json.loads(line) for line in analyzed.splitlines() if line.startswith("{")]
    told = [event["policyEvent"] for event in events if "policyEvent" in event]
    verdict = Judge(Configuration.load(_STRICT)).stack(read_state(file))
    assert {(one["policyName"], one["resourceUrn"], one["enforcementLevel"]) for one in told} == {
        (one.rule.id, one.resource.urn, "mandatory" if one.blocks else "advisory") for one in verdict.judgements
    }
    assert {one["policyName"] for one in told} >= _STRICT.keys()


@pytest.mark.parametrize("stack", OPENED)
def test_what_breaks_a_rule_is_refused_with_its_sentence_before_anything_is_created(playground, pack, stack):
    """All else passes the preview, too."""
    change_program(playground, stack)
    playground.pulumi("stack", "init", stack, "--no-select")
    printed = playground.pulumi("up", "--yes", "--stack", stack, *pack(), fails=True)
    assert re.search(rf"\[mandatory\].*MLB-NET-023 .*\n +{re.escape(OPEN)}\n", printed), printed
    # On Google Cloud all ports are opened, those of administration, too.
    assert set(re.findall(r"\[mandatory\].*(MLB-\w+-\d+)", printed)) - {"MLB-NET-024"} == {"MLB-NET-023"}
    assert playground.things() == []


def test_without_a_preview_what_breaks_a_rule_is_not_created_either(playground, pack):
    change_program(playground, "aws-batch")
    playground.pulumi("stack", "init", "aws-batch", "--no-select")
    printed = playground.pulumi("up", "--yes", "--skip-preview", "--stack", "aws-batch", *pack(), fails=True)
    assert OPEN in printed
    assert OPENED["aws-batch"][0] not in {thing.type for thing in playground.things()}


def test_what_a_preview_does_not_know_is_said_to_be_decided_at_deployment(playground, pack):
    playground.pulumi("stack", "init", "aws-streaming", "--no-select")
    printed = playground.pulumi("preview", "--stack", "aws-streaming", *pack())
    assert re.search(r"\[advisory\].*MLB-ENC-001 .*\n.*\n +kmsKeyArn: decided at deployment", printed), printed
    assert "[mandatory]" not in printed


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ("{", "unexpected end of JSON input"),
        ({"MLB-ENC-001": "blocking"}, '"blocking" is not a valid enforcement level'),
        ({"MLB-ENC-991": "advisory"}, "MLB-ENC-991: "),
        ({"MLB-ENC-014": {"days": "ten"}}, "MLB-ENC-014: days: Invalid type. Expected: integer, given: string"),
        (
            {"settings": {"exemptions": [{"rule": "MLB-NET-023", "urn": "*"}]}},
            "settings: exemptions.0: reason is required",
        ),
        ({"settings": {"frameworks": ["iso-9"]}}, 'settings.frameworks: `"iso-9"` was found; expected is one of'),
    ],
)
def test_a_mistake_in_the_configuration_is_one_message_and_nothing_is_run(
    playground, pack, no_traceback, configuration, message
):
    playground.pulumi("stack", "init", "aws-batch", "--no-select")
    printed = playground.pulumi("preview", "--stack", "aws-batch", *pack(configuration), fails=True)
    assert message in printed
    assert "to create" not in printed
    no_traceback(printed)


def test_the_table_of_policies_counts_what_is_found_and_tells_of_each_violation(playground, pack):
    _, _, *configuration = pack(
        {
            **_STRICT,
            "settings": {
                "exemptions": [
                    {
                        "rule": "MLB-DAT-003",
                        "urn": "*aws:s3/bucket:Bucket*",
                        "owner": "ml@example.com",
                        "reason": "It moves.",
                        "ticket": "ML-1",
                        "expires": "2999-01-01",
                    }
                ]
            },
        }
    )
    arguments = ("policy", "aws-batch", "--pack", str(POLICIES), "--config", configuration[-1])
    code, printed, _ = playground.command(*arguments)
    assert code == 1
    numbers = re.search(r"^aws-batch +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +[\d.]+$", printed, re.MULTILINE)
    assert numbers, printed
    resources, policies, violated, advised, _, exempted = map(int, numbers.groups())
    assert resources > 100
    assert policies > 10
    assert violated > 0
    assert advised > 0
    assert exempted > 0
    assert printed.count(RULES["MLB-DAT-003"].sentence) == violated
    assert "0 of 1 pass" in printed

    code, _, err = playground.command("policy", "aws-batch", "--pack", str(playground.repository))
    assert code == 2
    assert "is no policy pack" in err


def test_remedies_and_crashes_of_rules_on_the_engine(playground, own_pack):
    options = own_pack("""
from ml_policies.analyzer import serve
from ml_policies.checks import equals
from ml_policies.rule import Rule, Severity

def stumble(scope):
    raise ValueError("stumbled")

KEY, BUDGET = "aws:kms/key:Key", "aws:budgets/budget:Budget"
yearly = {KEY: lambda properties: {"deletionWindowInDays": 21}}
rules = [
    Rule("MLB-OWN-001", "Keys wait three weeks.", Severity.HIGH, "Set it.", {KEY: equals("deletionWindowInDays", 21)},
         remedies=yearly),
    Rule("MLB-OWN-002", "Budgets are well.", Severity.LOW, "Repair it.", {BUDGET: stumble}),
]
serve({rule.id: rule for rule in rules})
""")
    file = playground.repository / "policies.json"
    file.write_text(json.dumps({"MLB-OWN-001": "remediate"}))
    playground.pulumi("stack", "init", "aws-batch", "--no-select")
    arguments = ("preview", "--stack", "aws-batch", "--diff", "--policy-pack-config", str(file), *options)
    printed = playground.pulumi(*arguments, fails=True)
    assert re.search(r"\[remediate\].*MLB-OWN-001", printed), printed
    assert re.search(r"deletionWindowInDays *: 21", printed), printed
    assert "the rule itself failed, which is an error in ml-policies: ValueError: stumbled" in printed
    assert printed.count("[mandatory]") == printed.count("ValueError: stumbled")


def test_rules_mixed_into_a_pack_of_an_organisation(playground, own_pack):
    change_program(playground, "aws-batch")
    options = own_pack("""
from pulumi_policy import PolicyPack, ResourceValidationPolicy, EnforcementLevel
from ml_policies.crossguard import policies

own = ResourceValidationPolicy(
    "no-budgets", "No budgets.", lambda args, report: report("One.") if "budget" in args.resource_type else None,
    EnforcementLevel.ADVISORY,
)
PolicyPack("acme", policies=[*policies("MLB-NET-023", "MLB-ENC-*", "MLB-DAT-*"), own])
""")
    playground.pulumi("stack", "init", "aws-batch", "--no-select")
    printed = playground.pulumi("preview", "--stack", "aws-batch", *options, fails=True)
    assert "❌ acme" in printed
    assert re.search(rf"\[mandatory\].*MLB-NET-023 .*\n +{re.escape(OPEN)}\n", printed), printed
    assert re.search(r"\[advisory\].*no-budgets", printed)
    assert re.search(r"can't run policy 'MLB-ENC-\d+' .* during preview", printed)
    assert set(re.findall(r"\[mandatory\].*(MLB-\w+-\d+)", printed)) == {"MLB-NET-023"}
