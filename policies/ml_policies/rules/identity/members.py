"""Grants of Google: which types hold a member, members or a whole policy, and checks of what they hold."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_policies.checks import Result, Scope, Undecided, Wrong, parsed
from ml_policies.resource import MISSING, UNKNOWN


def _types(*names: str) -> tuple[str, ...]:
    """Tokens from a module and a class, such as `storage/BucketIAMMember`."""
    return tuple(
        f"gcp:{module}/{class_[0].lower()}{class_[1:]}:{class_}"
        for module, _, class_ in (n.partition("/") for n in names)
    )


def _granting(*names: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The three types of each kind of resource, which grant to one member, to members, and all at once."""
    return (
        _types(*(f"{name}Member" for name in names)),
        _types(*(f"{name}Binding" for name in names)),
        _types(*(f"{name}Policy" for name in names)),
    )


# On everything in a project, folder or organisation.
WIDE_MEMBERS, WIDE_BINDINGS, WIDE_POLICIES = _granting("projects/IAM", "folder/IAM", "organizations/IAM")

# On single resources that a platform for models has.
MEMBERS, BINDINGS, POLICIES = _granting(
    "artifactregistry/RepositoryIam",
    "bigquery/DatasetIam",
    "bigquery/Iam",
    "bigtable/InstanceIam",
    "bigtable/TableIam",
    "dataplex/EntryGroupIam",
    "kms/CryptoKeyIAM",
    "kms/KeyRingIAM",
    "pubsub/SchemaIam",
    "pubsub/SubscriptionIAM",
    "pubsub/TopicIAM",
    "secretmanager/SecretIam",
    "serviceaccount/IAM",
    "storage/BucketIAM",
    "vertex/AiEndpointIam",
    "vertex/AiFeatureGroupIam",
    "vertex/AiFeatureOnlineStoreIam",
    "vertex/AiFeatureOnlineStoreFeatureviewIam",
    "workbench/InstanceIam",
)

# On what answers requests.
INVOKER_MEMBERS, INVOKER_BINDINGS, INVOKER_POLICIES = _granting(
    "cloudfunctionsv2/FunctionIam", "cloudrun/Iam", "cloudrunv2/JobIam", "cloudrunv2/ServiceIam"
)

_EVERYONE = frozenset({"allusers", "allauthenticatedusers", "iammember:allusers", "iammember:allauthenticatedusers"})


def is_everyone(member: Any) -> bool:
    """Whether a member of a grant is anybody at all."""
    return str(member).strip().casefold() in _EVERYONE


def nobody_in_general(value: Any, _: Mapping[str, Any]) -> str | None:
    """What is expected in place of everyone; to be used with `judged`."""
    return "named members, not everyone" if value is not MISSING and is_everyone(value) else None


@dataclass(frozen=True, slots=True)
class _Policy:
    """A judgement of a part of each binding of a whole policy, which is JSON in `policyData`."""

    part: str
    judge: Callable[[Any, Mapping[str, Any]], str | None]

    def __call__(self, scope: Scope) -> Iterator[Result]:
        path, value = next(iter(scope.values("policyData")))
        policy = value if value is UNKNOWN else parsed(value)
        if policy is UNKNOWN:
            yield Undecided(path)
            return
        if policy is MISSING:
            return
        if not isinstance(policy, Mapping):
            yield Wrong(path, value, "a policy in JSON")
            return
        for found, part in scope.inside("policyData", policy).values(f"bindings[].{self.part}"):
            for item in part if isinstance(part, list | tuple) else (part,):
                if item is UNKNOWN:
                    yield Undecided(found)
                elif expected := self.judge(item, scope.parameters):
                    yield Wrong(found, item, expected)


def binding_roles(judge: Callable[[Any, Mapping[str, Any]], str | None]) -> _Policy:
    """A check of the roles that a whole policy grants."""
    return _Policy("role", judge)


def binding_members(judge: Callable[[Any, Mapping[str, Any]], str | None]) -> _Policy:
    """A check of whom a whole policy grants something."""
    return _Policy("members", judge)
