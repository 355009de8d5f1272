"""Checks of AWS's policy documents: where each type keeps them, and a check of every statement."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_policies.checks import Check, Result, Scope, Undecided, Wrong
from ml_policies.policy_documents import Statement, Truth, all_true, statements
from ml_policies.resource import UNKNOWN, Resource, Stack

POLICY = "aws:iam/policy:Policy"

# Type -> where it says what an identity may do.
IDENTITY_POLICIES = {
    "aws:iam/rolePolicy:RolePolicy": "policy",
    "aws:iam/userPolicy:UserPolicy": "policy",
    "aws:iam/groupPolicy:GroupPolicy": "policy",
    "aws:iam/role:Role": "inlinePolicies[].policy",
    "aws:ssoadmin/permissionSetInlinePolicy:PermissionSetInlinePolicy": "inlinePolicy",
}

# Type -> where it says who may use a resource.
RESOURCE_POLICIES = {
    "aws:backup/vaultPolicy:VaultPolicy": "policy",
    "aws:cloudwatch/eventBusPolicy:EventBusPolicy": "policy",
    "aws:ecr/registryPolicy:RegistryPolicy": "policy",
    "aws:ecr/repositoryPolicy:RepositoryPolicy": "policy",
    "aws:efs/fileSystemPolicy:FileSystemPolicy": "policy",
    "aws:glue/resourcePolicy:ResourcePolicy": "policy",
    "aws:kinesis/resourcePolicy:ResourcePolicy": "policy",
    "aws:kms/key:Key": "policy",
    "aws:kms/keyPolicy:KeyPolicy": "policy",
    "aws:opensearch/domainPolicy:DomainPolicy": "accessPolicies",
    "aws:s3/accessPoint:AccessPoint": "policy",
    "aws:s3/bucket:Bucket": "policy",
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
    "aws:s3/vectorsVectorBucketPolicy:VectorsVectorBucketPolicy": "policy",
    "aws:s3control/accessPointPolicy:AccessPointPolicy": "policy",
    "aws:s3tables/tableBucketPolicy:TableBucketPolicy": "resourcePolicy",
    "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy": "resourcePolicy",
    "aws:secretsmanager/secret:Secret": "policy",
    "aws:secretsmanager/secretPolicy:SecretPolicy": "policy",
    "aws:sns/topic:Topic": "policy",
    "aws:sns/topicPolicy:TopicPolicy": "policy",
    "aws:sqs/queue:Queue": "policy",
    "aws:sqs/queuePolicy:QueuePolicy": "policy",
}

# What attaches a policy to somebody, by which its statements grant something.
_ATTACHMENTS = (
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:iam/userPolicyAttachment:UserPolicyAttachment",
    "aws:iam/groupPolicyAttachment:GroupPolicyAttachment",
    "aws:iam/policyAttachment:PolicyAttachment",
    "aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive",
    "aws:iam/userPolicyAttachmentsExclusive:UserPolicyAttachmentsExclusive",
    "aws:iam/groupPolicyAttachmentsExclusive:GroupPolicyAttachmentsExclusive",
)
_BOUNDED = ("aws:iam/role:Role", "aws:iam/user:User")


@dataclass(frozen=True, slots=True)
class no_statement:  # noqa: N801 (it reads as the checks beside it)
    """No statement that allows something is as a function says; `words` say what is expected instead."""

    path: str
    is_wrong: Callable[[Statement], Truth]
    words: str

    def __call__(self, scope: Scope) -> Iterator[Result]:
        for path, value in scope.values(self.path):
            found = statements(value, path)
            if found is None:
                yield Wrong(path, value, "a policy document in JSON")
                continue
            for statement in found:
                truth = statement.allows and all_true((statement.allows, self.is_wrong(statement)))
                if truth is UNKNOWN:
                    yield Undecided(statement.path)
                elif truth:
                    yield Wrong(statement.path, statement.written, self.words)


def identity_checks(is_wrong: Callable[[Statement], Truth], words: str) -> dict[str, Check]:
    """A check of what identities may do, for each type that says it."""
    return {type_: no_statement(path, is_wrong, words) for type_, path in IDENTITY_POLICIES.items()}


def of_policy(is_wrong: Callable[[Statement], Truth], words: str):
    """The same of a managed policy, unless it is only the boundary of roles: a boundary grants nothing."""
    check = no_statement("policy", is_wrong, words)

    def relation(resource: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
        if not _only_a_boundary(resource, stack):
            yield from check(Scope(resource, resource.properties, parameters=parameters))

    return {POLICY: relation}


def _only_a_boundary(policy: Resource, stack: Stack) -> bool:
    """Whether roles or users need it directly, all of them as their boundary, and nothing attaches it."""
    users = [one for one in stack.of_type(*_BOUNDED, *_ATTACHMENTS) if policy.urn in one.depends_on]
    return bool(users) and all(
        one.type in _BOUNDED
        and one.properties.get("permissionsBoundary")
        and not one.properties.get("managedPolicyArns")
        for one in users
    )
