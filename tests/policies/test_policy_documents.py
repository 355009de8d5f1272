"""Policy documents of AWS: whatever their spelling, the same statements; what a statement grants, three-valued."""

import json

import pytest
from ml_policies.marks import UNKNOWN_TEXT
from ml_policies.policy_documents import Statement, all_true, any_true, glob, is_not, statements
from ml_policies.resource import MISSING, UNKNOWN
from ml_policies.rules.identity.limits import CALLERS, NETWORKS, limited_by

ALLOW = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::models/*"}


DEEP: dict = {"Statement": {}}
for _ in range(200):
    DEEP = {"Statement": [DEEP]}


def only(document) -> Statement:
    """The one statement of a document."""
    found = statements(document)
    assert found is not None
    (statement,) = found
    return statement


@pytest.mark.parametrize(
    "document",
    [
        {"Version": "2012-10-17", "Statement": ALLOW},
        {"Statement": [ALLOW]},
        {"Statement": [[None, ALLOW]]},
        {"statement": {name.upper(): value for name, value in ALLOW.items()}},
        {"Statement": {**ALLOW, "Action": ["S3:getObject"], "NotAction": None, "Condition": None}},
        json.dumps({"Statement": ALLOW}),
        json.dumps({"Statement": [ALLOW]}, indent=4),
    ],
)
def test_spelling_makes_no_difference(document):
    statement = only(document)
    assert statement.allows is True
    assert statement.actions == ("s3:getobject",)
    assert statement.resources == ("arn:aws:s3:::models/*",)
    assert statement.not_actions is None
    assert statement.conditions == ()


@pytest.mark.parametrize(
    "nothing", [MISSING, None, "", {}, {"Statement": None}, {"Statement": []}, '{"Statement": []}']
)
def test_what_is_absent_says_nothing(nothing):
    found = statements(nothing)
    assert found is not None
    assert list(found) == []


@pytest.mark.parametrize(
    "odd", ["{", "no JSON", "[]", "5", '"text"', 5, [], True, "[" * 100_000, DEEP, json.dumps(DEEP)]
)
def test_what_is_no_document_is_told_apart(odd):
    assert statements(odd) is None


@pytest.mark.parametrize(
    "document", [UNKNOWN, UNKNOWN_TEXT, {"Statement": UNKNOWN}, {"Statement": [UNKNOWN]}, {"Statement": [[UNKNOWN]]}]
)
def test_of_what_is_unknown_nothing_is_known(document):
    statement = only(document)
    assert statement.allows is UNKNOWN
    assert statement.grants("iam:passrole") is UNKNOWN
    assert statement.everywhere() is UNKNOWN
    assert statement.everyone is UNKNOWN
    assert limited_by(statement, CALLERS) is UNKNOWN


def test_an_unknown_text_inside_of_json_is_unknown():
    statement = only(json.dumps({"Statement": {**ALLOW, "Resource": f"arn:aws:s3:::{UNKNOWN_TEXT}/*"}}))
    assert statement.everywhere() is UNKNOWN
    assert statement.grants("s3:getobject") is True


@pytest.mark.parametrize(
    ("effect", "allows"),
    [
        ("Allow", True),
        ("ALLOW", True),
        ("Deny", False),
        (" deny ", False),
        ("odd", True),
        (None, True),
        (UNKNOWN, UNKNOWN),
    ],
)
def test_what_is_no_denial_allows(effect, allows):
    assert only({"Statement": {**ALLOW, "Effect": effect}}).allows is allows


def test_names_that_occur_twice_count_together():
    assert only('{"Statement": {"Effect": "Deny", "Effect": "Allow", "Action": "*"}}').allows is True
    assert only({"Statement": {"Action": "s3:GetObject", "action": "*"}}).grants("iam:passrole") is True


@pytest.mark.parametrize(
    ("action", "granted"),
    [
        ("*", True),
        ("*:*", True),
        ("iam:*", True),
        ("IAM:passRole", True),
        ("iam:Pass*", True),
        ("iam:*Role", True),
        ("i*:?assrole", True),
        (["s3:GetObject", "iam:PassRole"], True),
        ("iam:PassRoles", False),
        ("iam:Pass", False),
        ("s3:*", False),
        ([], False),
        (UNKNOWN, UNKNOWN),
        (["iam:PassRole", UNKNOWN], True),
        (["s3:GetObject", UNKNOWN], UNKNOWN),
    ],
)
def test_an_action_is_granted_by_any_pattern_of_it(action, granted):
    assert only({"Statement": {"Action": action}}).grants("iam:passrole") is granted


@pytest.mark.parametrize(
    ("spared", "granted"),
    [("s3:*", True), ("iam:*", False), (["s3:*", "*role"], False), (UNKNOWN, UNKNOWN), (["iam:Pass*", UNKNOWN], False)],
)
def test_all_but_some_actions_grants_the_rest(spared, granted):
    assert only({"Statement": {"NotAction": spared}}).grants("iam:passrole") is granted


@pytest.mark.parametrize(
    ("action", "wide"),
    [
        ("*", True),
        ("s3:*", True),
        ("s3:Get*", True),
        ("s3:*Object", True),
        ("*:Describe*", True),
        ("s3:GetObjec?", True),
        ("s3:GetObject", False),
        ("ec2:Describe*", False),
        ("s3:List*", False),
        (UNKNOWN, UNKNOWN),
    ],
)
def test_wildcards_that_only_describe_are_narrow(action, wide):
    assert only({"Statement": {"Action": action}}).wide_actions is wide


@pytest.mark.parametrize(
    ("resource", "kinds", "everywhere"),
    [
        ("*", (), True),
        ("arn:aws:s3:::*", (), True),
        ("arn:aws:s3:::*/*", (), True),
        ("arn:aws:s3:::?*", (), True),
        ("arn:*", (), True),
        ("arn:aws:sagemaker:*:*:*", (), True),
        (["arn:aws:s3:::models", "*"], (), True),
        ([], (), True),
        (None, (), True),
        ("arn:aws:s3:::models/*", (), False),
        ("arn:aws:iam::123456789012:role/*", (), False),
        ("arn:aws:iam::123456789012:role/*", ("role",), True),
        ("arn:aws:iam::123456789012:ro*", ("role",), True),
        ("arn:aws:iam::*:role/??*", ("user", "role"), True),
        ("arn:aws:iam::123456789012:role/team/*", ("role",), False),
        ("arn:aws:iam::123456789012:role/training-*", ("role",), False),
        (UNKNOWN, (), UNKNOWN),
    ],
)
def test_a_resource_that_names_nothing_is_everywhere(resource, kinds, everywhere):
    assert only({"Statement": {"Resource": resource}}).everywhere(*kinds) is everywhere


@pytest.mark.parametrize(
    ("principal", "everyone"),
    [
        ("*", True),
        (["*"], True),
        ({"AWS": "*"}, True),
        ({"aws": ["arn:aws:iam::123456789012:root", "*"]}, True),
        ({"AWS": "arn:aws:iam::*:root"}, True),
        ({"Service": "*.amazonaws.com"}, True),
        ({"Federated": "*"}, True),
        ({"AWS": {"odd": "*"}}, True),
        ({"AWS": "arn:aws:iam::123456789012:root"}, False),
        ({"AWS": "123456789012"}, False),
        ({"Service": "lambda.amazonaws.com"}, False),
        ({}, False),
        (None, False),
        (UNKNOWN, UNKNOWN),
        ({"AWS": UNKNOWN}, UNKNOWN),
        ({"AWS": [UNKNOWN, "*"]}, True),
    ],
)
def test_everyone_in_whatever_form(principal, everyone):
    assert only({"Statement": {"Principal": principal}}).everyone is everyone


def test_all_but_somebody_is_everyone():
    assert only({"Statement": {"NotPrincipal": {"AWS": "123456789012"}}}).everyone is True


@pytest.mark.parametrize(
    ("condition", "limited"),
    [
        ({"StringEquals": {"aws:PrincipalOrgID": "o-abcdefghij"}}, True),
        ({"stringequals": {"AWS:principalorgid": ["o-abcdefghij", "o-klmnopqrst"]}}, True),
        ({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-abcdefghij/r-1/*"}}, True),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:sagemaker:*:123456789012:*"}}, True),
        ({"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::models"}}, True),
        ({"Null": {"aws:x": "true"}, "StringEquals": {"aws:SourceAccount": 123456789012}}, True),
        ({"StringEquals": {"aws:PrincipalOrgID": ["o-abcdefghij", "*"]}}, False),
        ({"StringLike": {"aws:PrincipalOrgID": "o-*"}}, False),
        ({"StringEquals": {"aws:PrincipalOrgID": "${aws:PrincipalOrgID}"}}, False),
        ({"StringEquals": {"aws:PrincipalOrgID": []}}, False),
        ({"StringNotEquals": {"aws:PrincipalOrgID": "o-abcdefghij"}}, False),
        ({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-abcdefghij"}}, False),
        ({"ForAllValues:StringEquals": {"aws:PrincipalOrgID": "o-abcdefghij"}}, False),
        ({"Null": {"aws:PrincipalOrgID": "false"}}, False),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:sagemaker:*:*:*"}}, False),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}}, False),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:*::*:x"}}, False),
        ({"StringEquals": {"aws:RequestTag/team": "ml"}}, False),
        ({"StringEquals": {"aws:PrincipalOrgID": UNKNOWN}}, UNKNOWN),
        ({"StringEquals": UNKNOWN}, UNKNOWN),
        (UNKNOWN, UNKNOWN),
        (None, False),
        ([], False),
        ("odd", False),
    ],
)
def test_a_condition_limits_only_with_a_value_that_is_asked_for(condition, limited):
    assert limited_by(only({"Statement": {"Condition": condition}}), CALLERS) is limited


@pytest.mark.parametrize(
    ("network", "limited"),
    [
        ("203.0.113.7", True),
        ("203.0.113.0/24", True),
        ("10.0.0.0/8", True),
        ("2001:db8::/48", True),
        ("::ffff:203.0.113.0/120", True),
        ("0.0.0.0/0", False),
        ("0.0.0.0/1", False),
        ("0/0", False),
        ("::/0", False),
        ("0:0:0:0:0:0:0:0/0", False),
        ("2000::/3", False),
        ("::ffff:0:0/96", False),
        ("::ffff:0.0.0.0/97", False),
        ("*", False),
        ("", False),
        (["203.0.113.0/24", "::/0"], False),
    ],
)
def test_a_network_limits_if_it_is_of_bounded_size(network, limited):
    condition = {"IpAddress": {"aws:SourceIp": network}}
    assert limited_by(only({"Statement": {"Condition": condition}}), NETWORKS) is limited


def test_three_values():
    assert any_true([False, UNKNOWN, True]) is True
    assert any_true([False, UNKNOWN]) is UNKNOWN
    assert any_true([]) is False
    assert all_true([True, UNKNOWN, False]) is False
    assert all_true([True, UNKNOWN]) is UNKNOWN
    assert all_true([]) is True
    assert [is_not(truth) for truth in (True, False, UNKNOWN)] == [False, True, UNKNOWN]


def test_a_pattern_has_two_wildcards_and_nothing_else_of_a_regular_expression():
    assert glob("a.[b]?*").fullmatch("a.[b]cd")
    assert not glob("a.c").fullmatch("abc")
    assert not glob("a?").fullmatch("a")
