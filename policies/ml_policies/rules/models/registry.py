"""What is known of models that serve: owner, name and version, their registry, and where they come from."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml_policies.checks import (
    Check,
    Result,
    Scope,
    Undecided,
    Wrong,
    all_of,
    any_of,
    equals,
    judged,
    matches,
    mentions,
    one_of,
    present,
    some,
    when,
)
from ml_policies.relations import anywhere, dependencies, itself, one_relation, related
from ml_policies.resource import MISSING, UNKNOWN, Resource, Stack
from ml_policies.rule import Parameter, Rule, Severity
from ml_policies.scoring import (
    AWS_ENDPOINT,
    AWS_MODEL,
    AZURE_BATCH_ENDPOINT,
    AZURE_DEPLOYMENT,
    AZURE_ENDPOINT,
    AZURE_SERVERLESS,
    GCP_ENDPOINT,
    GCP_GARDEN_ENDPOINT,
    GCP_SERVICE,
    of_scorers,
    serves_a_model,
)

PACKAGE_GROUP = "aws:sagemaker/modelPackageGroup:ModelPackageGroup"
REPOSITORY = "gcp:artifactregistry/repository:Repository"
MODEL_CONTAINER = "azure-native:machinelearningservices:ModelContainer"
COGNITIVE_DEPLOYMENT = "azure-native:cognitiveservices:Deployment"
_MODEL_VERSIONS = (
    "azure-native:machinelearningservices:ModelVersion",
    "azure-native:machinelearningservices:RegistryModelVersion",
)
# A version by the id of its resource, by its id in a registry, or by `azureml:name:version`.
_VERSION_ID = r"(?i).*/models/[^/]+/versions/[^/]+|azureml:[\w.-]+:[\w.-]+"
_UNREGISTERED = "no registry in the stack holds the model that it serves"


def has_owner(path: str) -> Check:
    """One of the tags at a path is among those that name an owner, and says something."""

    def check(scope: Scope) -> Iterator[Result]:
        names = {name.casefold() for name in scope.parameters["owner_tags"]}
        for full, tags in scope.values(path):
            owners = (
                [value for name, value in tags.items() if name.casefold() in names] if isinstance(tags, dict) else []
            )
            if tags is UNKNOWN or UNKNOWN in owners:
                yield Undecided(full)
            elif not any(isinstance(owner, str) and owner.strip() for owner in owners):
                yield Wrong(full, MISSING, f"one of the tags {', '.join(sorted(names))}")

    return check


def from_the_list(path: str, outside: str = "") -> Check:
    """The model at a path is on the organisation's list, if it comes from outside: if it has what `outside` says."""

    def wrong(value: Any, parameters: Mapping[str, Any]) -> str | None:
        if not isinstance(value, str) or not value or outside.casefold() not in value.casefold():
            return None
        if any(allowed.casefold() in value.casefold() for allowed in parameters["models"]):
            return None
        return "a model that the parameter `models` names"

    return judged(path, wrong)


def registered_by_name(resource: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
    """A group of model packages bears the name that the model is tagged with."""
    del parameters
    tags = resource.properties.get("tags", {})
    model = tags.get("model", MISSING) if isinstance(tags, dict) else tags
    if model is UNKNOWN:
        yield Undecided("tags.model")
        return
    groups = [one.properties.get("modelPackageGroupName") for one in stack.of_type(PACKAGE_GROUP)]
    if not model or not any(isinstance(group, str) and str(model) in group for group in groups):
        yield Undecided("modelPackageGroupName") if model and UNKNOWN in groups else Wrong("", MISSING, _UNREGISTERED)


RULES = (
    Rule(
        "MLB-MOD-011",
        "What serves or registers a model says who owns it.",
        Severity.MEDIUM,
        "Tag it with its owner: a team or an address that answers for the model.",
        checks={
            AWS_ENDPOINT: has_owner("tags"),
            AWS_MODEL: has_owner("tags"),
            PACKAGE_GROUP: has_owner("tags"),
            GCP_ENDPOINT: has_owner("labels"),
            GCP_SERVICE: when(serves_a_model, has_owner("labels")),
            AZURE_ENDPOINT: has_owner("tags"),
            AZURE_BATCH_ENDPOINT: has_owner("tags"),
            MODEL_CONTAINER: has_owner("properties.tags"),
        },
        parameters={
            "owner_tags": Parameter(
                ["owner", "team", "contact"],
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "Names of the tags or labels that say who owns something; upper and lower case are the same.",
            )
        },
    ),
    Rule(
        "MLB-MOD-012",
        "What serves a model says which model and which version of it, and no vendor changes that.",
        Severity.HIGH,
        "Name the model and its version in tags, in the id of the model, or in what the container is told.",
        checks={
            AWS_MODEL: any_of(
                all_of(present("tags.model"), present("tags.version")),
                present("primaryContainer.modelPackageName"),
                some("containers[]", present("modelPackageName"), "a model package"),
            ),
            GCP_SERVICE: when(
                serves_a_model,
                any_of(
                    all_of(present("labels.model"), present("labels.version")),
                    some(
                        "template.containers[].envs[]",
                        any_of(
                            matches("name", r"(?i).*version.*", "a version"), mentions("value", r'"version"', "one")
                        ),
                        "a variable with the version",
                    ),
                ),
            ),
            GCP_GARDEN_ENDPOINT: any_of(
                matches("publisherModelName", r".+@.+", "a version after `@`"), present("huggingFaceModelId")
            ),
            AZURE_DEPLOYMENT: matches("properties.model", _VERSION_ID, "the id of a registered version"),
            COGNITIVE_DEPLOYMENT: all_of(
                present("properties.model.name"),
                present("properties.model.version"),
                one_of(
                    "properties.versionUpgradeOption",
                    ("NoAutoUpgrade", "OnceCurrentVersionExpired"),
                    default="OnceNewDefaultVersionAvailable",
                    source="https://registry.terraform.io/providers/hashicorp/azurerm/latest/docs/resources/cognitive_deployment",
                ),
            ),
        },
    ),
    Rule(
        "MLB-MOD-013",
        "Every model that is served is in a registry.",
        Severity.HIGH,
        "Register the model, and serve the registered version.",
        relations={
            AWS_MODEL: one_relation(
                registered_by_name,
                itself(
                    any_of(
                        present("primaryContainer.modelPackageName"),
                        some("containers[]", present("modelPackageName"), "a model package"),
                    )
                ),
            ),
            GCP_SERVICE: of_scorers(
                related(
                    anywhere(REPOSITORY),
                    _UNREGISTERED,
                    any_of(
                        present("labels.model"), equals("format", "GENERIC"), mentions("repositoryId", "model", "it")
                    ),
                )
            ),
            AZURE_DEPLOYMENT: one_relation(
                itself(matches("properties.model", _VERSION_ID, "the id of a registered version")),
                related(dependencies(*_MODEL_VERSIONS), _UNREGISTERED),
            ),
        },
        references=("prowler:sagemaker_models_registry_in_use",),
        differs={
            "prowler:sagemaker_models_registry_in_use": "Prowler is content with one approved package in a region "
            "and no code shows approval; we ask for a group of the name of each model."
        },
    ),
    Rule(
        "MLB-MOD-014",
        "A model from outside the organisation is served only if the organisation has put it on its list.",
        Severity.HIGH,
        "Have the model approved and add it to the parameter `models`, or serve a model that is there.",
        checks={
            AWS_MODEL: all_of(
                from_the_list("primaryContainer.modelDataSource.s3DataSources[].s3Uri", "jumpstart"),
                from_the_list("primaryContainer.modelDataUrl", "jumpstart"),
                from_the_list("containers[].modelDataSource.s3DataSources[].s3Uri", "jumpstart"),
                from_the_list("containers[].modelDataUrl", "jumpstart"),
            ),
            "aws:bedrock/agentAgent:AgentAgent": from_the_list("foundationModel"),
            "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput": from_the_list("modelArn"),
            "aws:bedrock/inferenceProfile:InferenceProfile": from_the_list("modelSource.copyFrom"),
            GCP_GARDEN_ENDPOINT: all_of(from_the_list("publisherModelName"), from_the_list("huggingFaceModelId")),
            "gcp:vertex/aiModelGardenEnableModel:AiModelGardenEnableModel": from_the_list("publisherModelName"),
            AZURE_DEPLOYMENT: from_the_list("properties.model", "azureml://registries/"),
            AZURE_SERVERLESS: from_the_list("properties.modelSettings.modelId"),
            COGNITIVE_DEPLOYMENT: from_the_list("properties.model.name"),
        },
        parameters={
            "models": Parameter(
                [],
                {"type": "array", "items": {"type": "string", "minLength": 3}},
                "Approved models from outside: parts of their ids, as `azureml://registries/ours/` or `amazon.nova`.",
            )
        },
        references=(
            "azure-policy:AllowDeployRegistryModels_Audit",
            "azure-policy:OnlyDeployAllowedRegistryModels_Deny",
        ),
    ),
    Rule(
        "MLB-MOD-015",
        "Every registered model says what it is for.",
        Severity.LOW,
        "Describe the model's purpose where it is registered.",
        checks={
            PACKAGE_GROUP: present("modelPackageGroupDescription"),
            REPOSITORY: when(equals("format", "GENERIC"), present("description")),
            MODEL_CONTAINER: present("properties.description"),
        },
    ),
)
