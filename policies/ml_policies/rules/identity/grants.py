"""What identities may do: no wildcards, no administrators, no way to more rights, nothing wider than its resource."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ml_policies import azure_conditions
from ml_policies.checks import Check, Result, Scope, Undecided, Wrong, all_of, judged
from ml_policies.policy_documents import Statement, Truth, all_true, any_true, glob, is_not
from ml_policies.resource import MISSING, UNKNOWN, Resource, Stack
from ml_policies.rule import Rule, Severity
from ml_policies.rules.identity.documents import identity_checks, of_policy
from ml_policies.rules.identity.members import WIDE_BINDINGS, WIDE_MEMBERS, WIDE_POLICIES, binding_roles

ASSIGNMENT = "azure-native:authorization:RoleAssignment"
DEFINITION = "azure-native:authorization:RoleDefinition"
CUSTOM_ROLES = ("gcp:projects/iAMCustomRole:IAMCustomRole", "gcp:organizations/iAMCustomRole:IAMCustomRole")

# Built-in roles of Azure (https://learn.microsoft.com/azure/role-based-access-control/built-in-roles).
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
ACCESS_ADMINISTRATOR = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
RBAC_ADMINISTRATOR = "f58310d9-a9f6-439a-9e8d-f62e7b41a168"
IDENTITY_OPERATOR = "f1a07417-d97a-45cb-824c-7a7467783830"
IDENTITY_CONTRIBUTOR = "e40ec5ca-96e0-45a2-b4ff-59039f2c2b59"


def _wildcards(statement: Statement) -> Truth:
    return all_true((statement.wide_actions, statement.everywhere()))


def _whole_provider(action: Any) -> bool:
    """Whether a wildcard of Azure stands for the types of a provider, or for providers."""
    text = str(action)
    return "*" in text and text.partition("*")[0].count("/") < 2


def _no_wildcard(value: Any, _: Mapping[str, Any]) -> str | None:
    """Actions on resources; what only reads shows no data."""
    wrong = value is not MISSING and _whole_provider(value) and not str(value).strip().casefold().endswith("/read")
    return "actions of a named resource type" if wrong else None


def _no_data_wildcard(value: Any, _: Mapping[str, Any]) -> str | None:
    wrong = value is not MISSING and _whole_provider(value)
    return "actions of a named resource type" if wrong else None


# What every AWS account has that grants all, or all of a service
# (https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html).
_ADMIN_POLICY = re.compile(
    r"arn:aws[\w-]*:iam::aws:policy/(.*/)?"
    r"(AdministratorAccess.*|PowerUserAccess|.*FullAccess.*|(System|Database|Network)Administrator)",
    re.IGNORECASE,
)


def _no_admin_policy(value: Any, _: Mapping[str, Any]) -> str | None:
    return "a policy of one's own that names actions" if _ADMIN_POLICY.fullmatch(str(value).strip()) else None


# Basic roles, and the administrators of a service (https://cloud.google.com/iam/docs/roles-overview#basic).
_ADMIN_ROLE = re.compile(r"roles/(owner|editor|viewer|writer|reader|admin|[\w.]*admin)", re.IGNORECASE)


def _no_admin_role(value: Any, _: Mapping[str, Any]) -> str | None:
    return "a role of few permissions" if _ADMIN_ROLE.fullmatch(str(value).strip()) else None


def role_of(assignment: Mapping[str, Any]) -> Any:
    """The id of the role that an assignment of Azure grants, in lower case."""
    role = assignment.get("roleDefinitionId", MISSING)
    return str(role).rstrip("/").rpartition("/")[2].casefold() if isinstance(role, str) else role


_SUBSCRIPTION = re.compile(
    r"/?|/subscriptions/[^/]*/?|/providers/microsoft\.management/managementgroups/[^/]*/?", re.IGNORECASE
)
_GROUP = re.compile(rf"{_SUBSCRIPTION.pattern}|/subscriptions/[^/]*/resourcegroups/[^/]*/?", re.IGNORECASE)


class _role_within:  # noqa: N801 (it reads as the checks beside it)
    """No role of a set is assigned at a scope that is too wide for it; without roles, no role at all."""

    def __init__(self, roles: frozenset[str], wide: re.Pattern[str], words: str):
        self.roles, self.wide, self.words = roles, wide, words

    def __call__(self, scope: Scope) -> Iterator[Result]:
        role, where = role_of(scope.value), scope.value.get("scope", MISSING)
        if where is not UNKNOWN and not (where in (None, MISSING) or self.wide.fullmatch(str(where).strip())):
            return
        if role is not UNKNOWN and self.roles and role not in self.roles:
            return
        if UNKNOWN in (role, where):
            yield Undecided("scope" if where is UNKNOWN else "roleDefinitionId")
        else:
            yield Wrong("scope", where, self.words)


_ANY = re.compile(r".*", re.DOTALL)
_NOT_AN_IDENTITY = re.compile(r"(?!.*/userassignedidentities/[^/]+/?$).*", re.IGNORECASE | re.DOTALL)


def _passes_any_role(statement: Statement) -> Truth:
    return all_true((statement.grants("iam:passrole"), statement.everywhere("role")))


# Roles by which one acts as a service account
# (https://cloud.google.com/iam/docs/service-account-permissions#user-role).
_ACTING = frozenset(
    f"roles/iam.{name}".casefold()
    for name in (
        "serviceAccountUser",
        "serviceAccountTokenCreator",
        "serviceAccountOpenIdTokenCreator",
        "workloadIdentityUser",
        "serviceAccountKeyAdmin",
        "serviceAccountAdmin",
    )
)


def _no_acting_role(value: Any, _: Mapping[str, Any]) -> str | None:
    wrong = str(value).strip().casefold() in _ACTING
    return "this role on single service accounts only, not on all of a project" if wrong else None


# What raises rights (https://rhinosecuritylabs.com/aws/aws-privilege-escalation-methods-mitigation/).
# fmt: off
_RAISING = (
    "iam:createpolicyversion", "iam:setdefaultpolicyversion", "iam:attachrolepolicy", "iam:attachuserpolicy",
    "iam:attachgrouppolicy", "iam:putrolepolicy", "iam:putuserpolicy", "iam:putgrouppolicy",
    "iam:updateassumerolepolicy", "iam:createaccesskey", "iam:createloginprofile", "iam:updateloginprofile",
    "iam:addusertogroup", "iam:deleterolepermissionsboundary", "iam:deleteuserpermissionsboundary",
    "iam:putrolepermissionsboundary", "iam:putuserpermissionsboundary", "sts:assumerole",
)
# fmt: on


def _raises_rights(statement: Statement) -> Truth:
    """Whether it may change the rights of whom it likes, outside of a boundary that a condition demands."""
    bounded = statement.limited(
        lambda key: key == "iam:permissionsboundary", lambda text: bool(text) and not set("*?$") & set(text)
    )
    return all_true(
        (statement.grants(*_RAISING), statement.everywhere("role", "user", "group", "policy"), is_not(bounded))
    )


# Permissions of Google by which one takes more (https://rhinosecuritylabs.com/gcp/privilege-escalation-google-cloud-platform-part-1/).
_RAISING_PERMISSION = re.compile(
    r".*\.setIamPolicy|iam\.roles\.(create|update)|iam\.serviceAccountKeys\.create|iam\.serviceAccounts\."
    r"(actAs|getAccessToken|getOpenIdToken|implicitDelegation|signBlob|signJwt)|orgpolicy\.policy\.set|.*\*.*",
    re.IGNORECASE,
)


def _no_raising_permission(value: Any, _: Mapping[str, Any]) -> str | None:
    wrong = value is not MISSING and _RAISING_PERMISSION.fullmatch(str(value).strip())
    return "no permission by which one gets more rights" if wrong else None


_RAISING_ACTION = (
    "microsoft.authorization/roleassignments/write",
    "microsoft.authorization/roledefinitions/write",
    "microsoft.authorization/elevateaccess/action",
    "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials/write",
)


# Built-in roles that give roles.
_GIVING = frozenset({OWNER, ACCESS_ADMINISTRATOR, RBAC_ADMINISTRATOR})
# A role that no condition names.
_UNNAMED = "00000000-0000-4000-8000-000000000000"
_WRITE = "Microsoft.Authorization/roleAssignments/write"
_NAMED_ONLY = "a condition that names the roles to be given, none that gives roles, and to whom, but not to oneself"


def _gives_named_roles(scope: Scope) -> Iterator[Result]:
    """Nobody gives roles, but the administrator of roles, by a condition: named ones to others, and no further ones.

    What the two other roles may do beside isn't limited by one: the condition is on assignments alone.
    https://learn.microsoft.com/azure/role-based-access-control/delegate-role-assignments-overview
    """
    role, text = role_of(scope.value), scope.value.get("condition", MISSING)
    if role is UNKNOWN:
        yield Undecided("roleDefinitionId")
    elif role in _GIVING and (role != RBAC_ADMINISTRATOR or text in (None, MISSING, "")):
        yield Wrong("roleDefinitionId", role, f"a role that can't grant roles, or {_NAMED_ONLY}")
    elif role == RBAC_ADMINISTRATOR and text is UNKNOWN:
        yield Undecided("condition")
    elif role == RBAC_ADMINISTRATOR:
        yield from _limits(str(text), scope.value)


def _limits(text: str, assignment: Mapping[str, Any]) -> Iterator[Result]:
    try:
        condition = azure_conditions.read(text)
    except ValueError as error:
        yield Wrong("condition", text, f"a condition of Azure's ({error})")
        return
    if any(condition.lets(_giving(role)) is not False for role in (_UNNAMED, *sorted(_GIVING))):
        yield Wrong("condition", text, _NAMED_ONLY)
        return
    own = {name: assignment.get(name) for name in ("principalId", "principalType")}
    known = {name: str(value) for name, value in own.items() if value not in (None, UNKNOWN)}
    truth = any_true(condition.lets(_giving(role, **known)) for role in sorted(condition.guids))
    if truth is not False and UNKNOWN in own.values():
        yield Undecided(next(name for name, value in own.items() if value is UNKNOWN))
    elif truth is not False:
        yield Wrong("condition", text, _NAMED_ONLY)


def _giving(role: str, **known: str) -> azure_conditions.Request:
    """Giving a role to somebody of whom this is known."""
    attributes = {"roleDefinitionId": role, **known}
    return azure_conditions.Request(
        _WRITE,
        {f"request[microsoft.authorization/roleassignments:{name.lower()}]": one for name, one in attributes.items()},
    )


def _no_raising_action(value: Any, _: Mapping[str, Any]) -> str | None:
    if value is MISSING:
        return None
    pattern = glob(str(value).strip().casefold())
    wrong = any(pattern.fullmatch(action) for action in _RAISING_ACTION)
    return "no action by which one gets more rights" if wrong else None


# What reads or writes data, secrets and images, or uses keys.
# fmt: off
_DATA = (
    "s3:getobject", "s3:putobject", "s3:deleteobject", "secretsmanager:getsecretvalue", "ssm:getparameter",
    "ssm:getparameters", "ssm:getparametersbypath", "kms:decrypt", "kms:encrypt", "kms:generatedatakey",
    "kms:creategrant", "dynamodb:getitem", "dynamodb:batchgetitem", "dynamodb:query", "dynamodb:scan",
    "dynamodb:putitem", "dynamodb:deleteitem", "kinesis:getrecords", "kinesis:putrecord", "kinesis:putrecords",
    "sqs:receivemessage", "sqs:sendmessage", "sns:publish", "sagemaker:invokeendpoint", "sagemaker:getrecord",
    "sagemaker:batchgetrecord", "sagemaker:putrecord", "sagemaker:deleterecord", "ecr:batchgetimage",
    "ecr:putimage", "lambda:invokefunction",
)
# fmt: on
# Conditions that name the resources in another way.
_NAMING_KEYS = (
    "aws:resourcetag/",
    "kms:resourcealiases",
    "kms:viaservice",
    "s3:dataaccesspointarn",
    "ecr:resourcetag/",
)


def _data_everywhere(statement: Statement) -> Truth:
    named = statement.limited(lambda key: key.startswith(_NAMING_KEYS), lambda text: bool(text.strip("*?")))
    return all_true((statement.grants(*_DATA), statement.everywhere(), is_not(named)))


# Roles that Google takes on single buckets, datasets, topics, repositories, keys, secrets and services
# (https://cloud.google.com/iam/docs/resource-types-with-policies).
_DATA_ROLE = re.compile(
    r"roles/(storage|bigquery\.data|pubsub|artifactregistry|cloudkms|secretmanager|bigtable|spanner"
    r"|run\.invoker|cloudfunctions\.invoker)[\w.]*",
    re.IGNORECASE,
)


def _no_data_role(value: Any, _: Mapping[str, Any]) -> str | None:
    wrong = _DATA_ROLE.fullmatch(str(value).strip())
    return "this role on the bucket, dataset, topic, repository, key or secret itself" if wrong else None


def _at_project(judge: Any) -> dict[str, Check]:
    """A check of the roles that are granted on whole projects, folders and organisations of Google."""
    return {
        **dict.fromkeys((*WIDE_MEMBERS, *WIDE_BINDINGS), judged("role", judge)),
        **dict.fromkeys(WIDE_POLICIES, binding_roles(judge)),
    }


def _acting_through_custom_role(resource: Resource, stack: Stack, _: Mapping[str, Any]) -> Iterator[Result]:
    """A custom role that lets one act as a service account isn't granted on a whole project."""
    for urn in sorted(resource.depends_on):
        role = stack.by_urn.get(urn)
        if role is None or role.type not in CUSTOM_ROLES:
            continue
        permissions = role.properties.get("permissions")
        known = permissions if isinstance(permissions, list | tuple) else [permissions]
        truth = any_true(
            UNKNOWN if one is UNKNOWN else str(one).casefold() == "iam.serviceaccounts.actas" for one in known
        )
        if truth is UNKNOWN:
            yield Undecided(f"{role.name}.permissions")
        elif truth:
            yield Wrong("role", role.name, "`iam.serviceAccounts.actAs` on single service accounts only")


# In the second a wildcard stands between the type and what is done, as in Azure's own role for this.
_IDENTITIES = "microsoft.managedidentity/userassignedidentities"
_ATTACH = (f"{_IDENTITIES}/assign/action", f"{_IDENTITIES}/-/assign/action")


def _attaches(action: Any) -> Truth:
    if action is UNKNOWN:
        return UNKNOWN
    pattern = glob(str(action).strip().casefold())
    return any(pattern.fullmatch(one) for one in _ATTACH)


def _attaching_through_custom_role(resource: Resource, stack: Stack, _: Mapping[str, Any]) -> Iterator[Result]:
    """A role of one's own that lets services act under identities isn't given on more than one of them.

    An assignment whose condition names such a role counts as well, since it depends on it alike.
    """
    where = resource.properties.get("scope", MISSING)
    if isinstance(where, str) and not _NOT_AN_IDENTITY.fullmatch(where.strip()):
        return
    for urn in sorted(resource.depends_on):
        role = stack.by_urn.get(urn)
        if role is None or role.type != DEFINITION:
            continue
        actions = (action for _, action in Scope(role, role.properties).values("permissions[].actions[]"))
        truth = any_true(_attaches(action) for action in actions if action is not MISSING)
        if truth is UNKNOWN:
            yield Undecided(f"{role.name}.permissions")
        elif truth and where is UNKNOWN:
            yield Undecided("scope")
        elif truth:
            yield Wrong("scope", where, f"a single identity as scope of `{role.name}`")


_attached = judged("policyArn", _no_admin_policy)
_attached_list = judged("policyArns[]", _no_admin_policy)
_admin_at = frozenset({CONTRIBUTOR})
_WILDCARD_WORDS = "named actions, or named resources"

RULES = (
    Rule(
        "MLB-IAM-001",
        "No identity may do everything of a service on every resource.",
        Severity.CRITICAL,
        "Name the actions that are needed, and the resources that they are needed on.",
        checks={
            **identity_checks(_wildcards, _WILDCARD_WORDS),
            DEFINITION: all_of(
                judged("permissions[].actions[]", _no_wildcard),
                judged("permissions[].dataActions[]", _no_data_wildcard),
            ),
        },
        relations=of_policy(_wildcards, _WILDCARD_WORDS),
        missing={"gcp": "A role of Google names its permissions one by one; broad roles are MLB-IAM-002."},
        references=(
            "checkov:CKV_AWS_1",
            "checkov:CKV_AWS_49",
            "checkov:CKV_AWS_62",
            "checkov:CKV_AWS_63",
            "checkov:CKV_AWS_355",
            "checkov:CKV_AWS_356",
            "checkov:CKV2_AWS_68",
            "checkov:CKV_AZURE_39",
        ),
        differs={
            "checkov:CKV_AWS_63": "It looks for a bare `*`; we refuse `s3:*` and `s3:*Object` on every resource too.",
            "checkov:CKV2_AWS_68": "It looks at roles of notebooks only; we look at all identities.",
        },
    ),
    Rule(
        "MLB-IAM-002",
        "Nobody is made an administrator by a ready-made policy or role.",
        Severity.CRITICAL,
        "Grant a role or policy of few permissions, on the resources that are needed.",
        checks={
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _attached,
            "aws:iam/userPolicyAttachment:UserPolicyAttachment": _attached,
            "aws:iam/groupPolicyAttachment:GroupPolicyAttachment": _attached,
            "aws:iam/policyAttachment:PolicyAttachment": _attached,
            "aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive": _attached_list,
            "aws:iam/role:Role": judged("managedPolicyArns[]", _no_admin_policy),
            "aws:ssoadmin/managedPolicyAttachment:ManagedPolicyAttachment": judged(
                "managedPolicyArn", _no_admin_policy
            ),
            **_at_project(_no_admin_role),
            ASSIGNMENT: all_of(
                _role_within(frozenset({OWNER}), _ANY, "another role than Owner"),
                _role_within(_admin_at, _GROUP, "a single resource as scope of Contributor"),
            ),
        },
        references=(
            "checkov:CKV_AWS_274",
            "checkov:CKV_GCP_42",
            "checkov:CKV_GCP_115",
            "checkov:CKV_GCP_116",
            "checkov:CKV_GCP_117",
        ),
        differs={
            "checkov:CKV_AWS_274": "It knows AdministratorAccess only; we refuse PowerUserAccess and *FullAccess."
        },
    ),
    Rule(
        "MLB-IAM-003",
        "Nobody may hand over, or act as, every identity there is.",
        Severity.CRITICAL,
        "Name the roles, service accounts or managed identities that may be passed on.",
        checks={
            **identity_checks(_passes_any_role, "named roles for iam:PassRole"),
            **_at_project(_no_acting_role),
            ASSIGNMENT: _role_within(
                frozenset({IDENTITY_OPERATOR, IDENTITY_CONTRIBUTOR}), _NOT_AN_IDENTITY, "a single identity as scope"
            ),
        },
        relations={
            **of_policy(_passes_any_role, "named roles for iam:PassRole"),
            **dict.fromkeys((*WIDE_MEMBERS, *WIDE_BINDINGS), _acting_through_custom_role),
            ASSIGNMENT: _attaching_through_custom_role,
        },
        references=("checkov:CKV_GCP_41", "checkov:CKV_GCP_44", "checkov:CKV_GCP_45", "checkov:CKV_GCP_49"),
    ),
    Rule(
        "MLB-IAM-004",
        "Nobody may raise rights, one's own or another's.",
        Severity.CRITICAL,
        "Leave changes of rights to the pipeline of the platform, limited to named roles or by a boundary.",
        checks={
            **identity_checks(_raises_rights, "named roles, or a condition on iam:PermissionsBoundary"),
            **dict.fromkeys(CUSTOM_ROLES, judged("permissions[]", _no_raising_permission)),
            ASSIGNMENT: _gives_named_roles,
            DEFINITION: judged("permissions[].actions[]", _no_raising_action),
        },
        relations=of_policy(_raises_rights, "named roles, or a condition on iam:PermissionsBoundary"),
        references=(
            "checkov:CKV_AWS_109",
            "checkov:CKV_AWS_110",
            "checkov:CKV_AWS_286",
            "checkov:CKV_AWS_289",
        ),
    ),
    Rule(
        "MLB-IAM-014",
        "Data, keys and secrets are granted on the resource itself, not on everything around it.",
        Severity.HIGH,
        "Grant the role on the bucket, dataset, stream, key or secret, or name it in the policy.",
        checks={
            **identity_checks(_data_everywhere, "named resources for data, keys and secrets"),
            **_at_project(_no_data_role),
            ASSIGNMENT: _role_within(frozenset(), _SUBSCRIPTION, "a resource group or a resource as scope"),
        },
        relations=of_policy(_data_everywhere, "named resources for data, keys and secrets"),
        references=(
            "checkov:CKV_AWS_107",
            "checkov:CKV_AWS_108",
            "checkov:CKV_AWS_111",
            "checkov:CKV_AWS_287",
            "checkov:CKV_AWS_288",
            "checkov:CKV_AWS_290",
        ),
    ),
)
