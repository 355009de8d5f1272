"""Whom roles and resources trust: named callers, one repository and environment, the services of one's own account."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ml_policies.checks import Result, Scope, Undecided, Wrong, any_of, equals, judged, matches, present, when
from ml_policies.policy_documents import Statement, Truth, all_true, any_true, is_not
from ml_policies.resource import MISSING, UNKNOWN
from ml_policies.rule import Rule, Severity
from ml_policies.rules.identity.documents import RESOURCE_POLICIES, no_statement
from ml_policies.rules.identity.limits import CALLERS, DEPUTIES, WITHIN_ACCOUNT, limited_by
from ml_policies.rules.identity.members import is_everyone

ROLE = "aws:iam/role:Role"
USER = "aws:iam/user:User"
PROVIDER = "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider"
CREDENTIAL = "azure-native:managedidentity:FederatedIdentityCredential"
ACCOUNT_MEMBER = "gcp:serviceaccount/iAMMember:IAMMember"
ACCOUNT_BINDING = "gcp:serviceaccount/iAMBinding:IAMBinding"

_WHOLE_ACCOUNT = re.compile(r"\d{12}|arn:aws[\w-]*:iam::\d{12}:root", re.IGNORECASE)


def _stranger_may_assume(statement: Statement) -> Truth:
    """Whether anybody may assume the role, or anybody of an account."""
    anybody = all_true((statement.everyone, is_not(limited_by(statement, CALLERS))))
    account = any_true(
        UNKNOWN if who is UNKNOWN else _WHOLE_ACCOUNT.fullmatch(str(who)) is not None
        for who in statement.named("aws", "*")
    )
    return any_true((anybody, all_true((account, is_not(limited_by(statement, WITHIN_ACCOUNT))))))


# A whole pool of identities, and every token of an issuer (https://cloud.google.com/iam/docs/principal-identifiers).
_WHOLE_POOL = re.compile(r"principalset://.*/workloadidentitypools/[^/]+/\*", re.IGNORECASE)


def _no_stranger(value: Any, _: Mapping[str, Any]) -> str | None:
    text = str(value).strip()
    wrong = is_everyone(text) or "*" in text or _WHOLE_POOL.fullmatch(text)
    return "named members, or those with one attribute" if wrong else None


# What says which branch or environment a token is for, by its issuer:
# https://docs.github.com/actions/reference/security/oidc, https://docs.gitlab.com/ci/cloud_services/,
# https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html,
# https://developer.hashicorp.com/terraform/cloud-docs/workspaces/dynamic-provider-credentials/aws-configuration.
_NARROW_SUBJECTS = re.compile(
    r"repo:[^*?:/]+/[^*?:/]+:(environment:[^*?:]+(:.*)?|environment:[^*?:]+\*|ref:refs/(heads|tags)/[^*?]+\*?"
    r"|job_workflow_ref:[^*?]+)"
    r"|project_path:[^*?:]+:ref_type:(branch|tag):ref:[^*?]+\*?"
    r"|organization:[^*?:]+:project:[^*?:]+:workspace:[^*?:]+:run_phase:.+"
)
# What is of these issuers must be of that form; of others, anything without a wildcard names somebody.
_KNOWN_SUBJECTS = re.compile(r"(repo|project_path|organization):.*", re.IGNORECASE | re.DOTALL)


def is_narrow_subject(subject: str) -> bool:
    """Whether a token's subject names a repository and its branch or environment, or another single identity."""
    if "${" in subject or not subject.strip():
        return False
    if _KNOWN_SUBJECTS.fullmatch(subject):
        return _NARROW_SUBJECTS.fullmatch(subject) is not None
    return not set("*?") & set(subject)


_SUBJECT_WORDS = "the subject of one repository and one environment or branch"
# It gives out no subjects but pools, which MLB-IAM-007 asks for.
_POOLS = "cognito-identity.amazonaws.com"


def _federated(statement: Statement, saml: bool) -> Truth:
    """Whether a token of an issuer opens the role; with `saml`, also an assertion of a SAML provider."""
    return any_true(
        UNKNOWN if who is UNKNOWN else saml or ":saml-provider/" not in str(who).casefold()
        for who in statement.named("federated")
    )


def _any_subject(statement: Statement) -> Truth:
    pools = all_true(who == _POOLS for who in statement.named("federated"))
    limited = statement.limited(lambda key: key.endswith(":sub"), is_narrow_subject)
    return all_true((_federated(statement, saml=False), is_not(pools), is_not(limited)))


def _any_audience(statement: Statement) -> Truth:
    limited = statement.limited(
        lambda key: key.endswith(":aud"), lambda text: bool(text.strip()) and not set("*?$") & set(text)
    )
    return all_true((_federated(statement, saml=True), is_not(limited)))


# Parts of Google's condition (CEL) that demand a repository, and a branch or environment.
_TEXT = r"""(?:"[^"*]+"|'[^'*]+')"""
_WANTED = rf"\s*(?:==\s*{_TEXT}|in\s*\[\s*{_TEXT}|\.\s*startsWith\(\s*{_TEXT})"
_IS_ONE = rf"\s*(?:==\s*{_TEXT}|in\s*\[\s*{_TEXT})"
_REPOSITORY = re.compile(rf"\b(?:assertion|attribute)\.(?:repository|repository_id|project_path|project_id){_IS_ONE}")
_PLACE = re.compile(rf"\b(?:assertion|attribute)\.(?:environment|ref|job_workflow_ref|workflow_ref|ref_path){_WANTED}")
_CLAIM = re.compile(
    rf"\b(?:assertion|attribute)\.[\w.]+{_WANTED}|\bgoogle\.subject{_WANTED}|\bassertion\[[^]]+\]{_WANTED}"
)
_SUBJECT = re.compile(rf"\b(?:assertion\.sub|google\.subject)\s*==\s*({_TEXT})")
_REPOSITORIES_OF = re.compile(r"https://(token\.actions\.githubusercontent\.com|gitlab\.[\w.-]+)/?.*", re.IGNORECASE)


def _demands(alternative: str, of_repositories: bool) -> bool:
    """Whether one alternative of a condition lets only few identities in."""
    if subject := _SUBJECT.search(alternative):
        return is_narrow_subject(subject[1][1:-1])
    if not of_repositories:
        return _CLAIM.search(alternative) is not None
    return _REPOSITORY.search(alternative) is not None and _PLACE.search(alternative) is not None


def _pool_condition(scope: Scope) -> Iterator[Result]:
    """Google's provider accepts tokens only by a condition; each alternative of it must be narrow."""
    condition, oidc = scope.value.get("attributeCondition", MISSING), scope.value.get("oidc", MISSING)
    issuer = oidc.get("issuerUri", MISSING) if isinstance(oidc, Mapping) else oidc
    if condition is UNKNOWN or (issuer is UNKNOWN and condition):
        yield Undecided("attributeCondition" if condition is UNKNOWN else "oidc.issuerUri")
        return
    text = str(condition) if isinstance(condition, str) else ""
    of_repositories = isinstance(issuer, str) and _REPOSITORIES_OF.fullmatch(issuer) is not None
    negated = re.search(r"!\s*\(|!\s*\w", text)
    if negated or not all(_demands(alternative, of_repositories) for alternative in text.split("||")):
        words = "a condition on repository and environment or branch" if of_repositories else "a condition on a claim"
        yield Wrong("attributeCondition", condition, words)


def _subject_of(value: Any, _: Mapping[str, Any]) -> str | None:
    return None if isinstance(value, str) and is_narrow_subject(value) else _SUBJECT_WORDS


def _audience_of(value: Any, _: Mapping[str, Any]) -> str | None:
    narrow = isinstance(value, str) and value.strip() and "*" not in value
    return None if narrow else "an audience of this provider's own"


# An instance's role is for instances of the account that made it; EC2 sends no source.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
_WITHOUT_SOURCE = frozenset({"ec2.amazonaws.com", "ec2.amazonaws.com.cn"})


def _confused_deputy(statement: Statement) -> Truth:
    services = any_true(
        UNKNOWN if who is UNKNOWN else str(who) not in _WITHOUT_SOURCE for who in statement.named("service")
    )
    return all_true((services, is_not(limited_by(statement, DEPUTIES))))


_DEPUTY_WORDS = "a condition on aws:SourceAccount or aws:SourceArn"

RULES = (
    Rule(
        "MLB-IAM-005",
        "A role is assumed by named callers only, not by anybody and not by anybody of an account.",
        Severity.CRITICAL,
        "Name the roles or services that may assume it, or add a condition on organisation or external id.",
        checks={
            ROLE: no_statement(
                "assumeRolePolicy", _stranger_may_assume, "named callers, or a condition that names them"
            ),
            ACCOUNT_MEMBER: judged("member", _no_stranger),
            ACCOUNT_BINDING: judged("members[]", _no_stranger),
            CREDENTIAL: matches("issuer", r"https://[^*\s]+", "the address of one issuer"),
        },
        references=("checkov:CKV_AWS_60", "checkov:CKV_AWS_61"),
    ),
    Rule(
        "MLB-IAM-006",
        "Federated trust is limited to one repository and one environment or branch.",
        Severity.CRITICAL,
        "Demand the subject of the token, down to environment or branch.",
        checks={
            ROLE: no_statement("assumeRolePolicy", _any_subject, _SUBJECT_WORDS),
            PROVIDER: _pool_condition,
            CREDENTIAL: judged("subject", _subject_of),
        },
        references=(
            "checkov:CKV_AWS_358",
            "checkov:CKV_AWS_393",
            "checkov:CKV_GCP_118",
            "checkov:CKV_GCP_125",
            "checkov:CKV_AZURE_249",
        ),
    ),
    Rule(
        "MLB-IAM-007",
        "Federated trust accepts tokens of its own audience only.",
        Severity.HIGH,
        "Demand the audience of the token.",
        checks={
            ROLE: no_statement("assumeRolePolicy", _any_audience, "a condition on the audience (`:aud`)"),
            "aws:iam/openIdConnectProvider:OpenIdConnectProvider": judged("clientIdLists[]", _audience_of),
            # Without audiences, a provider of Google takes only its own name as one.
            PROVIDER: judged("oidc.allowedAudiences[]", _audience_of),
            CREDENTIAL: equals("audiences[]", "api://AzureADTokenExchange"),
        },
    ),
    Rule(
        "MLB-IAM-008",
        "A service that is trusted acts only for one's own account (no confused deputy).",
        Severity.MEDIUM,
        "Add a condition on aws:SourceAccount, aws:SourceArn or aws:SourceOrgID.",
        checks={
            ROLE: no_statement("assumeRolePolicy", _confused_deputy, _DEPUTY_WORDS),
            **{type_: no_statement(path, _confused_deputy, _DEPUTY_WORDS) for type_, path in RESOURCE_POLICIES.items()},
            "aws:lambda/permission:Permission": when(
                matches("principal", r"[\w-]+(\.[\w-]+)*\.amazonaws\.com(\.cn)?", "a service"),
                any_of(present("sourceArn"), present("sourceAccount"), present("principalOrgId")),
            ),
        },
        missing={
            "gcp": "A service of Google acts through the service agent of one project, and the grant names that agent.",
            "azure": "A service of Azure acts through the managed identity of one resource, and the grant names that.",
        },
        references=("checkov:CKV_AWS_364",),
    ),
    Rule(
        "MLB-IAM-012",
        "Every role and user of AWS has a permissions boundary.",
        Severity.MEDIUM,
        "Set permissionsBoundary to the boundary of the platform.",
        checks={ROLE: present("permissionsBoundary"), USER: present("permissionsBoundary")},
        missing={
            "gcp": "Google has no boundary on a service account; organisation and deny policies bound a whole project.",
            "azure": "Azure has no boundary on an identity; deny assignments can't be made by customers.",
        },
    ),
)
