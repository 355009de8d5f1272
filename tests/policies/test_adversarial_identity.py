"""Adversarial policies, made by combination: what grants too much never passes, what is harmless never fails.

Each situation of a rule (what is granted, what is harmless) is written in every spelling that AWS takes or that someone
may try; then each value inside is made unknown, one at a time. No input may crash a rule or pass by not being known.
"""

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from ml_policies.checks import Undecided, Wrong
from ml_policies.evaluation import Evaluator, Finding
from ml_policies.resource import UNKNOWN, Resource
from ml_policies.rules import RULES

ROLE, ROLE_POLICY, BUCKET_POLICY = (
    "aws:iam/role:Role",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:s3/bucketPolicy:BucketPolicy",
)
WHERE = {ROLE: "assumeRolePolicy", ROLE_POLICY: "policy", BUCKET_POLICY: "policy"}

GITHUB = "token.actions.githubusercontent.com"
OIDC = {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{GITHUB}"}
ANYBODY = ["*", {"AWS": "*"}, {"AWS": ["arn:aws:iam::123456789012:role/x", "*"]}, {"AWS": "arn:aws:iam::*:root"}]
EVERYWHERE = ["*", ["*"], ["arn:aws:s3:::models", "*"], "arn:aws:*", "arn:*:*:*:*:*"]
# Conditions that look like a limit and are none.
SHAM = [
    {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-abcdefghij"}},
    {"ForAllValues:StringEquals": {"aws:PrincipalOrgID": "o-abcdefghij"}},
    {"StringNotEquals": {"aws:SourceAccount": "123456789012"}},
    {"StringLike": {"aws:PrincipalOrgID": "*"}},
    {"StringLike": {"aws:SourceAccount": ["123456789012", "*"]}},
    {"ArnLike": {"aws:SourceArn": "arn:aws:*:*:*:*"}},
    {"Null": {"aws:PrincipalOrgID": "false"}},
    {"StringEquals": {"aws:PrincipalOrgID": "${aws:PrincipalOrgID}"}},
    {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}},
    {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}},
]
OPEN_NETWORKS = ["0.0.0.0/0", "::/0", "0.0.0.0/1", "::ffff:0:0/96", "2000::/3", ["203.0.113.0/24", "0::0/0"]]
LIMITS = [
    {"StringEquals": {"aws:PrincipalOrgID": "o-abcdefghij"}},
    {"StringEquals": {"AWS:SOURCEACCOUNT": ["123456789012"]}},
    {"StringEqualsIgnoreCase": {"aws:PrincipalAccount": "123456789012"}},
    {"ArnLike": {"aws:SourceArn": "arn:aws:sagemaker:*:123456789012:endpoint/*"}},
    {"stringLike": {"aws:PrincipalOrgPaths": ["o-abcdefghij/*"]}},
]


def granting(actions: list[Any], resources: list[Any]) -> list[dict[str, Any]]:
    """Statements that allow each of some actions on each of some resources."""
    return [{"Effect": "Allow", "Action": action, "Resource": place} for action in actions for place in resources]


def trusting(principals: list[Any], conditions: list[Any]) -> list[dict[str, Any]]:
    """Statements that let each of some principals in, under each of some conditions; None for no condition."""
    return [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*", "Principal": principal}
        | ({} if condition is None else {"Condition": condition})
        for principal in principals
        for condition in conditions
    ]


def subjects(*texts: Any) -> list[dict[str, Any]]:
    """Conditions on a token's subject."""
    return [{"StringLike": {f"{GITHUB}:sub": text, f"{GITHUB}:aud": "sts.amazonaws.com"}} for text in texts]


# Rule -> type -> statements that must fail, and statements that must pass.
SITUATIONS: dict[str, tuple[str, list[dict[str, Any]], list[dict[str, Any]]]] = {
    "MLB-IAM-001": (
        ROLE_POLICY,
        granting(
            ["*", "s3:*", ["s3:GetObject", "iam:*"], "s3:*Object", "iam:Pass*", "S3:GET*", "*:Describe*"], EVERYWHERE
        )
        + [{"Effect": "Allow", "NotAction": spared, "Resource": "*"} for spared in ("iam:*", ["iam:*", "s3:*"])]
        + [{"Effect": "Allow", "Action": "s3:*", "NotResource": spared} for spared in ("arn:aws:s3:::x", [])]
        + [{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::x", "NotResource": "arn:aws:s3:::y"}],
        granting(
            ["s3:GetObject", ["ec2:Describe*", "S3:LIST*"], "ecr:GetAuthorizationToken"],
            ["arn:aws:s3:::models/*", ["arn:aws:s3:::models", "arn:aws:s3:::curated/*"], "*"],
        )
        + granting(["s3:*", "s3:Get*"], ["arn:aws:s3:::models", "arn:aws:s3:::models/*"]),
    ),
    "MLB-IAM-003": (
        ROLE_POLICY,
        [
            *granting(
                ["iam:PassRole", "IAM:PASSROLE", "iam:Pass*", "iam:*", "*", "iam:?assRole", ["s3:GetObject", "i*:P*e"]],
                ["*", "arn:aws:iam::123456789012:role/*", "arn:aws:iam::*:*", "arn:aws:iam::123456789012:r*", []],
            ),
            {"Effect": "Allow", "Action": "iam:PassRole", "NotResource": "arn:aws:iam::123456789012:role/admin"},
            {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
        ],
        granting(
            ["iam:PassRole", "iam:Pass*"],
            ["arn:aws:iam::123456789012:role/training", "arn:aws:iam::123456789012:role/ml/*"],
        )
        + granting(["iam:GetRole", "s3:*", "iam:PassRoles"], ["*"])
        + [{"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"}],
    ),
    "MLB-IAM-004": (
        ROLE_POLICY,
        granting(
            ["iam:CreatePolicyVersion", "iam:Attach*Policy", "iam:Put*", "sts:Assume*", "iam:CreateAccessKe?"],
            ["*", "arn:aws:iam::123456789012:role/*", "arn:aws:iam::*:*"],
        )
        + [
            {"Effect": "Allow", "Action": "iam:PutRolePolicy", "Resource": "*", "Condition": {operator: {key: value}}}
            for operator, key, value in (
                ("StringLike", "iam:PermissionsBoundary", "*"),
                ("StringNotEquals", "iam:PermissionsBoundary", "arn:aws:iam::123456789012:policy/b"),
                ("StringEqualsIfExists", "iam:PermissionsBoundary", "arn:aws:iam::123456789012:policy/b"),
                ("StringEquals", "aws:RequestTag/team", "ml"),
            )
        ],
        granting(["iam:GetRole", "iam:List*", "sts:GetCallerIdentity"], ["*"])
        + granting(["iam:PutRolePolicy", "sts:AssumeRole"], ["arn:aws:iam::123456789012:role/scoring"])
        + [
            {
                "Effect": "Allow",
                "Action": "iam:PutRolePolicy",
                "Resource": "*",
                "Condition": {operator: {"iam:permissionsBoundary": "arn:aws:iam::123456789012:policy/b"}},
            }
            for operator in ("StringEquals", "arnequals")
        ],
    ),
    "MLB-IAM-014": (
        ROLE_POLICY,
        granting(
            ["s3:GetObject", "s3:Get*", "secretsmanager:GetSecretValu?", ["kms:Decrypt"], "kinesis:*", "*"],
            ["*", "arn:aws:s3:::*", "arn:aws:s3:::*/*", ["arn:aws:s3:::models/*", "arn:aws:*"]],
        ),
        granting(
            ["s3:GetObject", "kms:Decrypt"], ["arn:aws:s3:::models/*", ["arn:aws:kms:eu-west-1:123456789012:key/1"]]
        )
        + granting(["ec2:DescribeVpcs", "cloudwatch:PutMetricData"], ["*"]),
    ),
    "MLB-IAM-005": (
        ROLE,
        trusting(ANYBODY, [None, *SHAM, {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}])
        + trusting([{"AWS": "arn:aws:iam::210987654321:root"}, {"AWS": ["210987654321"]}], [None, SHAM[0], SHAM[3]])
        + [{"Effect": "Allow", "NotPrincipal": {"AWS": "arn:aws:iam::123456789012:role/x"}}],
        trusting(ANYBODY, LIMITS)
        + trusting([{"AWS": "arn:aws:iam::210987654321:root"}], [{"StringEquals": {"sts:ExternalId": "agreed"}}])
        + trusting([{"Service": "sagemaker.amazonaws.com"}, {"AWS": "arn:aws:iam::123456789012:role/x"}], [None]),
    ),
    "MLB-IAM-006": (
        ROLE,
        trusting(
            [OIDC, {"federated": [GITHUB]}],
            [
                None,
                *subjects(
                    "*",
                    "repo:acme/ml:*",
                    "repo:acme/*:environment:production",
                    "repo:*/ml:environment:production",
                    "repo:acme/ml:pull_request",
                    "repo:acme/ml:environment:*",
                    "repo:acme/ml:ref:refs/heads/*",
                    "repo:acme/ml?:environment:production",
                    ["repo:acme/ml:environment:production", "repo:acme/ml:*"],
                    "project_path:acme/*:ref_type:branch:ref:main",
                    "system:serviceaccount:*:serving",
                    "",
                ),
                {"StringNotLike": {f"{GITHUB}:sub": "repo:acme/ml:environment:production"}},
                {"StringEqualsIfExists": {f"{GITHUB}:sub": "repo:acme/ml:environment:production"}},
                {"ForAllValues:StringLike": {f"{GITHUB}:sub": "repo:acme/ml:environment:production"}},
                {"StringEquals": {f"{GITHUB}:aud": "sts.amazonaws.com"}},
                {"StringEquals": {f"{GITHUB}:repository_owner": "acme"}},
            ],
        ),
        trusting(
            [OIDC],
            subjects(
                "repo:acme/ml:environment:production",
                "repo:acme/ml:ref:refs/heads/main",
                "repo:acme/ml:ref:refs/heads/release/*",
                ["repo:acme/ml:environment:production", "repo:acme/ml:ref:refs/tags/v*"],
                "project_path:acme/ml:ref_type:branch:ref:main",
                "system:serviceaccount:ml:serving",
            ),
        )
        + trusting([{"Federated": "arn:aws:iam::123456789012:saml-provider/company"}], [None]),
    ),
    "MLB-IAM-007": (
        ROLE,
        trusting(
            [OIDC, {"Federated": "cognito-identity.amazonaws.com"}],
            [
                None,
                {"StringLike": {f"{GITHUB}:aud": "*"}},
                {"StringEqualsIfExists": {f"{GITHUB}:aud": "sts.amazonaws.com"}},
                {"StringEquals": {f"{GITHUB}:aud": ["sts.amazonaws.com", ""]}},
            ],
        ),
        trusting([OIDC], subjects("repo:acme/ml:environment:production"))
        + trusting([{"Service": "sagemaker.amazonaws.com"}], [None]),
    ),
    "MLB-IAM-008": (
        ROLE,
        trusting(
            [{"Service": "sagemaker.amazonaws.com"}, {"service": ["ec2.amazonaws.com", "Lambda.amazonaws.com"]}],
            [None, *SHAM],
        ),
        trusting([{"Service": "sagemaker.amazonaws.com"}], [LIMITS[1], LIMITS[3]])
        + trusting([{"Service": "ec2.amazonaws.com"}, {"AWS": "arn:aws:iam::123456789012:role/x"}], [None]),
    ),
    "MLB-IAM-015": (
        BUCKET_POLICY,
        [
            *trusting(ANYBODY, [None, *SHAM, *({"IpAddress": {"aws:SourceIp": one}} for one in OPEN_NETWORKS)]),
            {"Effect": "Allow", "NotPrincipal": {"AWS": "123456789012"}, "Action": "s3:GetObject"},
        ],
        trusting(ANYBODY, LIMITS)
        + trusting(
            ["*"], [{"IpAddress": {"aws:SourceIp": one}} for one in ("203.0.113.0/24", "10.1.2.3", "2001:db8::/48")]
        )
        + trusting(["*"], [{"StringEquals": {"aws:SourceVpce": "vpce-1a2b3c4d"}}])
        + trusting([{"AWS": "arn:aws:iam::123456789012:root"}], [None]),
    ),
}

DENIAL = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}
HARMLESS = {"Effect": "Allow", "Action": "ec2:DescribeVpcs", "Resource": "*"}


def recased(value: Any, case: Callable[[str], str]) -> Any:
    """Names of elements in another case; names of keys of conditions are values here, and stay."""
    return {case(name): inner for name, inner in value.items()}


# What one statement may look like as a document.
SPELLINGS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "list": lambda one: {"Version": "2012-10-17", "Statement": [one]},
    "single": lambda one: {"Statement": one},
    "nested list": lambda one: {"Statement": [[None, [one]]]},
    "behind others": lambda one: {"Statement": [DENIAL, HARMLESS, one]},
    "before a denial": lambda one: {"Statement": [one, DENIAL]},
    "lower case": lambda one: {"statement": [recased(one, str.lower)]},
    "upper case": lambda one: {"STATEMENT": recased(one, str.upper)},
    "with nulls": lambda one: {"Id": None, "Statement": {"Sid": None, "NotAction": None, "Condition": None, **one}},
    "effect in lower case": lambda one: {"Statement": {**one, "Effect": one["Effect"].lower()}},
    "JSON": lambda one: json.dumps({"Version": "2012-10-17", "Statement": [one]}),
    "indented JSON": lambda one: "\n " + json.dumps({"Statement": one}, indent=8) + "\n",
    "escaped JSON": lambda one: "".join(
        f"\\u{ord(character):04x}" if character == "*" else character for character in json.dumps({"Statement": one})
    ),
}


def found(rule: str, type_: str, document: Any) -> list[Finding]:
    """What a rule finds in a document."""
    resource = Resource(type_, "subject", f"urn:pulumi:cases::ml-policies::{type_}::subject", {WHERE[type_]: document})
    return list(Evaluator([RULES[rule]]).resource(resource))


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("rule", SITUATIONS)
def test_what_grants_too_much_fails(rule, spelling):
    type_, wrong, _ = SITUATIONS[rule]
    for statement in wrong:
        results = [finding.result for finding in found(rule, type_, SPELLINGS[spelling](statement))]
        assert results, f"{statement} passes"
        assert all(isinstance(result, Wrong) for result in results), f"{statement}: {results}"


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("rule", SITUATIONS)
def test_what_is_harmless_passes(rule, spelling):
    type_, _, right = SITUATIONS[rule]
    for statement in right:
        messages = [finding.message for finding in found(rule, type_, SPELLINGS[spelling](statement))]
        assert messages == [], f"{statement} fails"


def test_the_suite_is_as_large_as_it_says():
    assert len(SPELLINGS) * sum(len(wrong) + len(right) for _, wrong, right in SITUATIONS.values()) > 3000


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value inside of a document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in pairs:
        yield (*path, name)
        yield from places(inner, (*path, name))


def opened(document: Any, path: tuple[Any, ...]) -> Any:
    """A document with an unknown value at a place."""
    result = deepcopy(document)
    *way, last = path
    inner = result
    for part in way:
        inner = inner[part]
    inner[last] = UNKNOWN
    return result


@pytest.mark.parametrize(
    ("rule", "type_", "wrong", "right"), [(rule, *one) for rule, one in SITUATIONS.items()], ids=SITUATIONS
)
def test_an_unknown_value_hides_nothing_and_accuses_nobody(rule, type_, wrong, right):
    for statement in wrong:
        document = {"Statement": [statement]}
        for path in places(document):
            results = [finding.result for finding in found(rule, type_, opened(document, path))]
            assert results, f"{path} unknown lets {statement} pass"
            assert all(isinstance(result, Wrong | Undecided) for result in results)
    for statement in right:
        document = {"Statement": [statement]}
        for path in places(document):
            results = [finding.result for finding in found(rule, type_, opened(document, path))]
            assert all(isinstance(result, Undecided) for result in results), f"{path}: {results}"


ODD = [
    *(
        None,
        True,
        0,
        1.5,
        "",
        " ",
        "{",
        "[]",
        "null",
        '"*"',
        "[" * 5000,
        '{"Statement": "*"}',
        "\ufeff{}",
        UNKNOWN,
        [],
        {},
        [[]],
    ),
    *(
        {"Statement": odd}
        for odd in (None, 0, "*", [], [None], ["*"], [[[]]], [{}], {"Effect": {}}, UNKNOWN, [UNKNOWN, {}])
    ),
    *(
        {"Statement": {"Effect": "Allow", element: odd}}
        for element in ("Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition")
        for odd in (
            None,
            0,
            True,
            "",
            [],
            {},
            [None],
            [[UNKNOWN]],
            {"AWS": None},
            {"": {"": [{}]}},
            {"*": {"*": UNKNOWN}},
        )
    ),
]


@pytest.mark.parametrize("number", range(len(ODD)))
def test_odd_documents_crash_no_rule(number):
    for rule, (type_, _, _) in SITUATIONS.items():
        for document in (ODD[number], _written(ODD[number])):
            for finding in found(rule, type_, document):
                assert isinstance(finding.result, Wrong | Undecided), finding.message


def _written(document: Any) -> str:
    return json.dumps(document, default=str)


@pytest.mark.parametrize("seed", range(100))
def test_scrambled_documents_crash_no_rule(seed):
    chance = random.Random(seed)
    statements = [statement for _, wrong, right in SITUATIONS.values() for statement in (*wrong, *right)]
    document: Any = {"Statement": deepcopy(chance.sample(statements, 3))}
    for _ in range(5):
        path = chance.choice(list(places(document)))
        *way, last = path
        inner = document
        for part in way:
            inner = inner[part]
        inner[last] = chance.choice(
            [None, "*", [], {}, 7, UNKNOWN, ["*", None], {"AWS": "*"}, inner[last], [inner[last]]]
        )
        if not list(places(document)):
            break
    for rule, (type_, _, _) in SITUATIONS.items():
        for finding in found(rule, type_, document):
            assert isinstance(finding.result, Wrong | Undecided), finding.message
