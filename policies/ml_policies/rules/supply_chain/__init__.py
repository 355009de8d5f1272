"""Supply chain: images by digest from registries that scan and keep tags immutable, runtimes that get updates."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ml_policies.checks import (
    Result,
    Scope,
    absent,
    all_of,
    any_of,
    equals,
    judged,
    mentions,
    none_of,
    one_of,
    present,
    some,
    when,
)
from ml_policies.relations import anywhere, belonging, itself, one_relation, related, where
from ml_policies.remedies import sets
from ml_policies.resource import MISSING
from ml_policies.rule import Parameter, Rule, Severity
from ml_policies.rules.supply_chain import boot
from ml_policies.rules.supply_chain.images import MODEL, every_image
from ml_policies.rules.supply_chain.runtimes import maintained

ECR = "aws:ecr/repository:Repository"
ARTIFACTS = "gcp:artifactregistry/repository:Repository"
ACR = "azure-native:containerregistry:Registry"
_PRICING = "azure-native:security:Pricing"

_TEXTS = {"type": "array", "items": {"type": "string"}}

_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
# Registries that only their owner, or the cloud itself, pushes to.
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html,
# https://cloud.google.com/artifact-registry/docs/docker/names and
# https://learn.microsoft.com/azure/container-registry/container-registry-concepts
_PRIVATE = re.compile(
    r"\d{12}\.dkr[.-]ecr(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|on\.aws)/.+"
    r"|([a-z0-9-]+-docker\.pkg\.dev|([a-z]+\.)?gcr\.io)/.+/.+"
    r"|([a-z0-9-]+\.azurecr\.(io|cn|us)|mcr\.microsoft\.com)/.+",
    re.IGNORECASE,
)
# Repositories of images that are pushed to; others only pass on what is elsewhere.
# https://cloud.google.com/artifact-registry/docs/repositories
_IMAGES = all_of(
    equals("format", "DOCKER"),
    equals(
        "mode",
        "STANDARD_REPOSITORY",
        default="STANDARD_REPOSITORY",
        source="https://cloud.google.com/artifact-registry/docs/repositories",
    ),
)
_DEFENDED = all_of(
    one_of("pricingName", ("Containers", "ContainerRegistry")),
    equals(
        "pricingTier",
        "Standard",
        default="Free",
        source="https://learn.microsoft.com/azure/defender-for-cloud/defender-for-containers-introduction",
    ),
)
_SIGNED_RUN = any_of(equals("binaryAuthorization.useDefault", True), present("binaryAuthorization.policy"))


def _by_digest(image: str, _: Mapping[str, Any]) -> str | None:
    return None if _DIGEST.fullmatch(image) else "an image with its digest, `...@sha256:...`"


def _of_allowed_registry(image: str, parameters: Mapping[str, Any]) -> str | None:
    registries = [one.rstrip("/").casefold() for one in parameters["allowed_registries"]]
    if not registries or any(image.casefold().startswith(f"{one}/") for one in registries):
        return None
    return f"an image from {' or '.join(registries)}"


def _of_private_registry(image: str, _: Mapping[str, Any]) -> str | None:
    return None if _PRIVATE.fullmatch(image) else "an image from a registry of the cloud, private to the organisation"


def _private_model(scope: Scope) -> Iterator[Result]:
    """Images of a model: in a registry of the cloud, or in another one that only the model's own network reaches."""
    source = "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ImageConfig.html"
    reached = equals("imageConfig.repositoryAccessMode", "Vpc", default="Platform", source=source)
    image = judged("image", lambda value, _: None if value is MISSING else _of_private_registry(str(value), {}))
    container = any_of(image, reached)
    for place in ("primaryContainer", "containers[]"):
        for path, value in scope.values(place):
            if value is not MISSING:
                yield from container(scope.inside(path, value))


RULES = (
    Rule(
        "MLB-SUP-001",
        "A tag of an image always means the same image.",
        Severity.HIGH,
        "Make tags immutable, without exclusions.",
        checks={
            ECR: equals(
                "imageTagMutability",
                "IMMUTABLE",
                default="MUTABLE",
                source="https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html",
            ),
            "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate": equals(
                "imageTagMutability",
                "IMMUTABLE",
                default="MUTABLE",
                source="https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-creation-templates.html",
            ),
            ARTIFACTS: when(
                _IMAGES,
                equals(
                    "dockerConfig.immutableTags",
                    True,
                    default=False,
                    source="https://cloud.google.com/artifact-registry/docs/docker/troubleshoot#immutable-tags",
                ),
            ),
        },
        missing={
            "azure": "A registry of Azure locks images one by one after they are pushed, not by a setting of its own; "
            "MLB-SUP-003 makes tags irrelevant."
        },
        references=("checkov:CKV_AWS_51", "security-hub:ECR.2"),
        remedies={"aws:ecr/repository:Repository": sets({"imageTagMutability": "IMMUTABLE"})},
    ),
    Rule(
        "MLB-SUP-002",
        "Images are scanned for vulnerabilities when they are pushed.",
        Severity.HIGH,
        "Turn on scanning: on push, by the API of container scanning, or by Defender for Containers.",
        relations={
            ECR: one_relation(
                itself(
                    equals(
                        "imageScanningConfiguration.scanOnPush",
                        True,
                        default=False,
                        source="https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-basic.html",
                    )
                ),
                related(
                    anywhere("aws:ecr/registryScanningConfiguration:RegistryScanningConfiguration"),
                    "scanning of the whole registry",
                    check=some(
                        "rules[]", one_of("scanFrequency", ("SCAN_ON_PUSH", "CONTINUOUS_SCAN")), "a rule that scans"
                    ),
                ),
            ),
            ARTIFACTS: where(
                _IMAGES,
                related(
                    anywhere("gcp:projects/service:Service"),
                    "the API `containerscanning.googleapis.com` among those that the stack enables: without it nothing "
                    "is scanned",
                    check=equals("service", "containerscanning.googleapis.com"),
                    elsewhere=True,
                ),
            ),
            ACR: related(
                anywhere(_PRICING),
                "Defender for Containers (azure-native:security:Pricing, `Containers`) in the tier `Standard`",
                check=_DEFENDED,
                elsewhere=True,
            ),
        },
        checks={
            ARTIFACTS: none_of(
                "vulnerabilityScanningConfig.enablementConfig",
                ("DISABLED",),
                default="INHERITED",
                source="https://cloud.google.com/artifact-analysis/docs/enable-automatic-scanning",
            ),
        },
        references=("checkov:CKV_AWS_163", "checkov:CKV_AZURE_86", "checkov:CKV_AZURE_163", "security-hub:ECR.1"),
        differs={
            "checkov:CKV_AZURE_163": "It asks for a certain tier of the registry, which scans nothing by itself.",
        },
    ),
    Rule(
        "MLB-SUP-003",
        "What runs is an image named by its digest, never by a tag.",
        Severity.HIGH,
        "Name the image as `repository@sha256:...`, as the push has printed it.",
        checks=every_image(_by_digest),
    ),
    Rule(
        "MLB-SUP-004",
        "Images come from registries that the organisation allows.",
        Severity.HIGH,
        "Push the image to an allowed registry and run it from there, or add the registry to the parameter.",
        checks=every_image(_of_allowed_registry),
        parameters={
            "allowed_registries": Parameter(
                [], _TEXTS, "Hosts, or hosts with the beginning of a path, that images may come from; all, if empty."
            )
        },
        references=("azure-policy:AllowedACRs_EnforceSetting",),
    ),
    Rule(
        "MLB-SUP-005",
        "Images come from private registries, not from public ones that anybody may push to.",
        Severity.HIGH,
        "Copy the image to a registry of the organisation, where it is scanned, and run it from there.",
        checks=every_image(_of_private_registry) | {MODEL: _private_model},
        references=("security-hub:SageMaker.16", "security-hub:SageMaker.19"),
        differs={
            "security-hub:SageMaker.16": "It demands the mode `Vpc`, which is for registries outside of AWS; an image "
            "in a private registry of ECR passes too.",
            "security-hub:SageMaker.19": "As for SageMaker.16.",
        },
    ),
    Rule(
        "MLB-SUP-006",
        "Images that no tag names any more are cleared away.",
        Severity.LOW,
        "Let a policy delete untagged images after some weeks, and keep a tag on every image that still runs.",
        checks={
            ARTIFACTS: when(
                _IMAGES,
                all_of(
                    some("cleanupPolicies[]", equals("action", "DELETE"), "a policy that deletes"),
                    none_of(
                        "cleanupPolicyDryRun",
                        (True,),
                        default=False,
                        source="https://cloud.google.com/artifact-registry/docs/repositories/cleanup-policy",
                    ),
                ),
            ),
            ACR: equals(
                "policies.retentionPolicy.status",
                "enabled",
                default="disabled",
                source="https://learn.microsoft.com/azure/container-registry/container-registry-retention-policy",
            ),
        },
        relations={
            ECR: related(
                belonging("aws:ecr/lifecyclePolicy:LifecyclePolicy", "repository", "name"),
                "a lifecycle policy (aws:ecr/lifecyclePolicy:LifecyclePolicy) for untagged images",
                check=mentions("policy", r'^(untagged|any)$|"tagStatus"\s*:\s*"(untagged|any)"', "untagged images"),
            )
        },
        references=("checkov:CKV_AZURE_167", "security-hub:ECR.3"),
    ),
    Rule(
        "MLB-SUP-007",
        "Images leave the organisation's registries only to run.",
        Severity.MEDIUM,
        "Keep images in private repositories, and disable their export.",
        checks={
            # Every public repository has a name, so that none passes.
            "aws:ecrpublic/repository:Repository": absent(
                "repositoryName", "a private repository (aws:ecr/repository:Repository)"
            ),
            ACR: equals(
                "policies.exportPolicy.status",
                "disabled",
                default="enabled",
                source="https://learn.microsoft.com/azure/container-registry/data-loss-prevention",
            ),
        },
        missing={
            "gcp": "A repository of Artifact Registry is private until somebody is granted access, which MLB-IAM-015 "
            "judges, and it has no export."
        },
    ),
    Rule(
        "MLB-SUP-008",
        "Code that nobody has signed isn't run where signatures can be checked.",
        Severity.MEDIUM,
        "Let Binary Authorization or a code signing configuration judge what is deployed.",
        checks={
            "aws:lambda/function:Function": when(
                equals(
                    "packageType",
                    "Zip",
                    default="Zip",
                    source="https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html",
                ),
                present("codeSigningConfigArn"),
            ),
            "aws:lambda/codeSigningConfig:CodeSigningConfig": equals(
                "policies.untrustedArtifactOnDeployment",
                "Enforce",
                default="Warn",
                source="https://docs.aws.amazon.com/lambda/latest/api/API_CodeSigningPolicies.html",
            ),
            "gcp:binaryauthorization/policy:Policy": all_of(
                one_of("defaultAdmissionRule.evaluationMode", ("REQUIRE_ATTESTATION", "ALWAYS_DENY")),
                equals("defaultAdmissionRule.enforcementMode", "ENFORCED_BLOCK_AND_AUDIT_LOG"),
            ),
            "gcp:cloudfunctionsv2/function:Function": present("serviceConfig.binaryAuthorizationPolicy"),
            "gcp:cloudrunv2/job:Job": _SIGNED_RUN,
            "gcp:cloudrunv2/service:Service": _SIGNED_RUN,
        },
        missing={
            "azure": "Azure's content trust ends in 2028 and excludes registries with a customer-managed key; "
            "signatures of the Notary Project are checked by clusters of Kubernetes alone."
        },
        references=("checkov:CKV_AWS_272",),
        differs={
            "checkov:CKV_AWS_272": "A function that is an image can have no code signing; it is judged by MLB-SUP-003.",
            "checkov:CKV_AZURE_164": "It asks for content trust, which excludes a customer-managed key.",
        },
    ),
    Rule(
        "MLB-SUP-009",
        "Functions run on runtimes that still get updates.",
        Severity.MEDIUM,
        "Move the function to a maintained version of its language.",
        checks={
            "aws:lambda/function:Function": maintained("runtime"),
            "gcp:cloudfunctions/function:Function": maintained("runtime"),
            "gcp:cloudfunctionsv2/function:Function": maintained("buildConfig.runtime"),
            "azure-native:web:WebApp": all_of(
                maintained("siteConfig.linuxFxVersion"),
                maintained("functionAppConfig.runtime.name", "functionAppConfig.runtime.version"),
            ),
        },
        parameters={
            # https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html#runtimes-deprecated,
            # https://cloud.google.com/functions/docs/runtime-support and
            # https://learn.microsoft.com/azure/azure-functions/supported-languages, in November 2026
            "oldest": Parameter(
                {"python": "3.11", "node": "22", "ruby": "3.2", "dotnet": "8"},
                {"type": "object", "additionalProperties": {"type": "string"}},
                "By language, the oldest version that is maintained.",
            ),
            "refused": Parameter(
                ["go1.x", "java8", "provided", "provided.al2"], _TEXTS, "Names of runtimes that are refused."
            ),
        },
        references=("checkov:CKV_AWS_363",),
    ),
    Rule(
        "MLB-SUP-010",
        "Notebooks run on a platform that gets updates.",
        Severity.MEDIUM,
        "Choose the newest platform of notebook instances; give workbenches a schedule of upgrades.",
        checks={
            "aws:sagemaker/notebookInstance:NotebookInstance": equals(
                "platformIdentifier",
                "notebook-al2023-v1",
                default="notebook-al2-v3",
                source="https://www.pulumi.com/registry/packages/aws/api-docs/sagemaker/notebookinstance/",
            ),
            "gcp:workbench/instance:Instance": present("gceSetup.metadata.notebook-upgrade-schedule"),
        },
        missing={
            "azure": "A compute instance has the newest image when it is made, and another one only when it is made "
            "again; no property shows its age."
        },
        references=("security-hub:SageMaker.8",),
    ),
    Rule(
        "MLB-SUP-011",
        "Managed engines and runtimes take updates of security by themselves.",
        Severity.MEDIUM,
        "Leave automatic minor upgrades on, and don't defer them.",
        checks={
            "aws:elasticache/replicationGroup:ReplicationGroup": equals(
                "autoMinorVersionUpgrade",
                True,
                default=True,
                source="https://www.pulumi.com/registry/packages/aws/api-docs/elasticache/replicationgroup/",
            ),
            "aws:rds/instance:Instance": equals(
                "autoMinorVersionUpgrade",
                True,
                default=True,
                source="https://www.pulumi.com/registry/packages/aws/api-docs/rds/instance/",
            ),
            "gcp:cloudfunctionsv2/function:Function": absent(
                "buildConfig.onDeployUpdatePolicy", "no policy of its own: updates come automatically"
            ),
            "azure-native:redisenterprise:Database": equals(
                "deferUpgrade",
                "NotDeferred",
                default="NotDeferred",
                source="https://learn.microsoft.com/azure/redis/how-to-upgrade",
            ),
        },
        references=("checkov:CKV_AWS_226", "checkov:CKV_AWS_322"),
    ),
    *boot.RULES,
)
