"""What everyone may do: nothing. No public data, no anonymous calls, no lists of access beside policies and roles."""

import re
from collections.abc import Mapping
from typing import Any

from ml_policies.checks import absent, all_of, any_of, equals, judged, mentions, none_of, one_of, when
from ml_policies.policy_documents import Statement, Truth, all_true, is_not
from ml_policies.relations import dependents, related, where
from ml_policies.remedies import sets
from ml_policies.resource import MISSING
from ml_policies.rule import Rule, Severity
from ml_policies.rules.identity.documents import RESOURCE_POLICIES, no_statement
from ml_policies.rules.identity.limits import CALLERS, NETWORKS, limited_by
from ml_policies.rules.identity.members import (
    BINDINGS,
    INVOKER_BINDINGS,
    INVOKER_MEMBERS,
    INVOKER_POLICIES,
    MEMBERS,
    POLICIES,
    WIDE_BINDINGS,
    WIDE_MEMBERS,
    WIDE_POLICIES,
    binding_members,
    nobody_in_general,
)
from ml_policies.rules.serving.api import API, document_with, policies_of_api
from ml_policies.scoring import GCP_API_CONFIG

CONTAINER_APP = "azure-native:app:ContainerApp"
_INGRESS = "https://learn.microsoft.com/azure/container-apps/ingress-overview"
_AUTH = "https://learn.microsoft.com/azure/container-apps/authentication"
_LIMITS = {**CALLERS, **NETWORKS}


def _public(statement: Statement) -> Truth:
    return all_true((statement.everyone, is_not(limited_by(statement, _LIMITS))))


_PUBLIC_ACLS = ("public-read", "public-read-write", "authenticated-read", "website")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#specifying-grantee-predefined-groups
_GROUP_OF_EVERYONE = re.compile(
    r"https?://acs\.amazonaws\.com/groups/global/(AllUsers|AuthenticatedUsers)", re.IGNORECASE
)


def _no_group_of_everyone(value: Any, _: Mapping[str, Any]) -> str | None:
    return "named accounts, not everyone" if _GROUP_OF_EVERYONE.fullmatch(str(value).strip()) else None


def _no_entity_of_everyone(value: Any, _: Mapping[str, Any]) -> str | None:
    """An entity of Google's access lists, alone or behind the role that it has: `READER:allUsers`."""
    wrong = value is not MISSING and nobody_in_general(str(value).rpartition(":")[2], {}) is not None
    return "named entities, not everyone" if wrong else None


_no_public_acl = none_of(
    "acl", _PUBLIC_ACLS, "private", "https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html"
)
_STORAGE_ACCOUNT = "https://www.pulumi.com/registry/packages/azure-native/api-docs/storage/storageaccount/"
_ANONYMOUS_PULL = "https://learn.microsoft.com/azure/container-registry/anonymous-pull-access"
_FUNCTION = "aws:lambda/permission:Permission"

_nobody = dict.fromkeys((*MEMBERS, *WIDE_MEMBERS), judged("member", nobody_in_general))
_nobodies = dict.fromkeys((*BINDINGS, *WIDE_BINDINGS), judged("members[]", nobody_in_general))
_none = dict.fromkeys((*POLICIES, *WIDE_POLICIES), binding_members(nobody_in_general))

RULES = (
    Rule(
        "MLB-IAM-015",
        "Data, keys, queues and images are open to nobody in general.",
        Severity.CRITICAL,
        "Name who may use the resource, or limit the grant by account, organisation or network.",
        checks={
            **{
                type_: no_statement(
                    path, _public, "named principals, or a condition on account, organisation or network"
                )
                for type_, path in RESOURCE_POLICIES.items()
            },
            "aws:s3/bucketAcl:BucketAcl": all_of(
                _no_public_acl, judged("accessControlPolicy.grants[].grantee.uri", _no_group_of_everyone)
            ),
            **_nobody,
            **_nobodies,
            **_none,
            "gcp:bigquery/dataset:Dataset": all_of(
                judged("accesses[].specialGroup", nobody_in_general), judged("accesses[].iamMember", nobody_in_general)
            ),
            "gcp:bigquery/datasetAccess:DatasetAccess": all_of(
                judged("specialGroup", nobody_in_general), judged("iamMember", nobody_in_general)
            ),
            "gcp:storage/bucketACL:BucketACL": all_of(
                none_of("predefinedAcl", ("publicRead", "publicReadWrite", "authenticatedRead")),
                none_of("defaultAcl", ("publicRead", "publicReadWrite", "authenticatedRead")),
                judged("roleEntities[]", _no_entity_of_everyone),
            ),
            "gcp:storage/bucketAccessControl:BucketAccessControl": judged("entity", _no_entity_of_everyone),
            "gcp:storage/defaultObjectAccessControl:DefaultObjectAccessControl": judged(
                "entity", _no_entity_of_everyone
            ),
            "azure-native:storage:StorageAccount": equals("allowBlobPublicAccess", False, False, _STORAGE_ACCOUNT),
            "azure-native:storage:BlobContainer": equals(
                "publicAccess",
                "None",
                "None",
                "https://learn.microsoft.com/azure/storage/blobs/anonymous-read-access-configure",
            ),
            "azure-native:containerregistry:Registry": equals("anonymousPullEnabled", False, False, _ANONYMOUS_PULL),
        },
        references=(
            "checkov:CKV_AWS_32",
            "checkov:CKV_AWS_33",
            "checkov:CKV_AWS_70",
            "checkov:CKV_AWS_168",
            "checkov:CKV_AWS_169",
            "checkov:CKV_AWS_283",
            "checkov:CKV_AWS_387",
            "checkov:CKV_GCP_15",
            "checkov:CKV_GCP_28",
            "checkov:CKV_GCP_99",
            "checkov:CKV_GCP_100",
            "checkov:CKV_GCP_101",
            "checkov:CKV_GCP_112",
            "checkov:CKV_GCP_113",
            "checkov:CKV_AZURE_34",
            "checkov:CKV_AZURE_59",
            "checkov:CKV_AZURE_190",
        ),
        differs={
            "checkov:CKV_AWS_70": "It refuses every wildcard principal; one that a condition limits narrowly may pass.",
        },
        exemptible=False,
    ),
    Rule(
        "MLB-IAM-016",
        "Endpoints are called with an identity, never anonymously and never with a shared key.",
        Severity.CRITICAL,
        "Demand tokens of the cloud's own identities from callers.",
        checks={
            "aws:lambda/functionUrl:FunctionUrl": equals("authorizationType", "AWS_IAM"),
            "aws:apigateway/method:Method": any_of(
                one_of("authorization", ("AWS_IAM", "CUSTOM", "COGNITO_USER_POOLS")), equals("httpMethod", "OPTIONS")
            ),
            "aws:apigatewayv2/route:Route": one_of(
                "authorizationType",
                ("AWS_IAM", "JWT", "CUSTOM"),
                "NONE",
                "https://www.pulumi.com/registry/packages/aws/api-docs/apigatewayv2/route/",
            ),
            _FUNCTION: when(
                equals("principal", "*"),
                any_of(
                    equals("functionUrlAuthType", "AWS_IAM"),
                    judged(
                        "principalOrgId", lambda value, _: None if str(value).startswith("o-") else "an organisation"
                    ),
                ),
            ),
            # https://cloud.google.com/api-gateway/docs/authentication-method
            GCP_API_CONFIG: document_with(
                "openapiDocuments[].document.contents", r"\bsecurity\b", "what callers must bring (security)"
            ),
            "gcp:cloudrunv2/service:Service": equals(
                "invokerIamDisabled", False, False, "https://cloud.google.com/run/docs/securing/managing-access"
            ),
            **dict.fromkeys(INVOKER_MEMBERS, judged("member", nobody_in_general)),
            **dict.fromkeys(INVOKER_BINDINGS, judged("members[]", nobody_in_general)),
            **dict.fromkeys(INVOKER_POLICIES, binding_members(nobody_in_general)),
            "azure-native:machinelearningservices:OnlineEndpoint": equals("properties.authMode", "AADToken"),
            "azure-native:machinelearningservices:BatchEndpoint": equals("properties.authMode", "AADToken"),
            "azure-native:machinelearningservices:ServerlessEndpoint": equals("properties.authMode", "AAD"),
        },
        relations={
            API: related(
                policies_of_api,
                "nothing verifies who calls it",
                mentions(
                    "value", r"<validate-(jwt|azure-ad-token|client-certificate)\b", "a policy that verifies callers"
                ),
            ),
            # Apps that are found by other apps of their environment alone ask for nothing.
            CONTAINER_APP: where(
                equals("configuration.ingress.external", True, False, _INGRESS),
                related(
                    dependents("azure-native:app:ContainerAppsAuthConfig"),
                    "nothing verifies who calls it",
                    all_of(
                        equals("platform.enabled", True, False, _AUTH),
                        none_of("globalValidation.unauthenticatedClientAction", ("AllowAnonymous",)),
                    ),
                ),
            ),
        },
        references=(
            "checkov:CKV_AWS_59",
            "checkov:CKV_AWS_258",
            "checkov:CKV_AWS_301",
            "checkov:CKV_AWS_309",
            "checkov:CKV2_AWS_70",
            "checkov:CKV_GCP_102",
            "checkov:CKV_GCP_107",
        ),
        differs={
            "checkov:CKV_AWS_59": "It lets a method pass that asks for an API key; a shared key is no identity.",
            "checkov:CKV2_AWS_70": "It lets a method pass that asks for an API key; a shared key is no identity.",
        },
    ),
    Rule(
        "MLB-IAM-019",
        "Access is decided by policies and roles alone, not by access lists of their own kind.",
        Severity.MEDIUM,
        "Enforce the owner of the bucket, uniform access, or roles in the vault.",
        checks={
            "aws:s3/bucketOwnershipControls:BucketOwnershipControls": equals(
                "rule.objectOwnership", "BucketOwnerEnforced"
            ),
            "aws:s3/bucketAcl:BucketAcl": absent("acl", "no access list: a policy says who may use the bucket"),
            "gcp:storage/bucket:Bucket": equals(
                "uniformBucketLevelAccess",
                True,
                False,
                "https://cloud.google.com/storage/docs/uniform-bucket-level-access",
            ),
            "azure-native:keyvault:Vault": equals(
                "properties.enableRbacAuthorization",
                True,
                False,
                "https://www.pulumi.com/registry/packages/azure-native/api-docs/keyvault/vault/",
            ),
        },
        references=("checkov:CKV2_AWS_65", "checkov:CKV_GCP_29"),
        remedies={"gcp:storage/bucket:Bucket": sets({"uniformBucketLevelAccess": True})},
    ),
)
