"""Capacity of what serves: instances, scaling, health, and limits of one request."""

import re
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
    at_least,
    at_most,
    each,
    equals,
    judged,
    none_of,
    present,
    some,
    when,
)
from ml_policies.relations import dependencies, dependents, either, itself, naming, one_relation, related
from ml_policies.resource import MISSING, UNKNOWN
from ml_policies.rule import Rule, Severity
from ml_policies.scoring import (
    AWS_CONFIGURATION,
    AWS_ENDPOINT,
    AZURE_DEPLOYMENT,
    GCP_DEPLOYMENT,
    GCP_GARDEN_ENDPOINT,
    GCP_SERVICE,
    serves_a_model,
)

FUNCTION = "aws:lambda/function:Function"
EVENT_SOURCE = "aws:lambda/eventSourceMapping:EventSourceMapping"
SCALING_TARGET = "aws:appautoscaling/target:Target"
SCALING_POLICY = "aws:appautoscaling/policy:Policy"
DEPLOYED_INDEX = "gcp:vertex/aiIndexEndpointDeployedIndex:AiIndexEndpointDeployedIndex"
CONTAINER_APP = "azure-native:app:ContainerApp"
AUTOSCALE = "azure-native:monitor:AutoscaleSetting"

_TRIALS = ("experiment", "experiments", "sandbox", "playground", "development", "dev", "test")
_INDEX = "https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.indexEndpoints"
_RUN = "https://cloud.google.com/run/docs"
_AZURE_DEPLOYMENT = "https://learn.microsoft.com/azure/machine-learning/reference-yaml-deployment-managed-online"
_APPS = "https://learn.microsoft.com/azure/container-apps/scale-app"


def _in_production(tags: str, check: Check) -> Check:
    """A check of what isn't tagged as something that may fail."""
    return when(none_of(f"{tags}.environment", _TRIALS), check)


def grows(path: str, least: str, most: str, highest: int = 0) -> Check:
    """Where a mapping is, one of its numbers is greater than another; `highest` is what counts if it is absent."""

    def check(scope: Scope) -> Iterator[Result]:
        for full, value in scope.values(path):
            low, high = (value.get(least), value.get(most, highest)) if isinstance(value, dict) else (None, None)
            if UNKNOWN in (value, low, high):
                yield Undecided(full)
            elif isinstance(value, dict) and not _number(high) > _number(low):
                yield Wrong(full, value.get(most, MISSING), f"a {most} above {least}")

    return check


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0


def seconds(text: Any) -> float | None:
    """The seconds of a duration of Google Cloud (`300s`), of ISO 8601 (`PT1M30S`), or a plain number."""
    found = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?|([\d.]+)s?", str(text))
    if not found or not any(found.groups()):
        return None
    hours, minutes, rest, plain = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest + plain


def within(path: str, most: int, default: Any, source: str) -> Check:
    """A duration that is not longer than some seconds."""

    def wrong(value: Any, _: Mapping[str, Any]) -> str | None:
        length = seconds(value)
        return None if length is not None and 0 < length <= most else f"a time of {most} seconds or less"

    return judged(path, wrong, default, source)


_scaled_by_itself = each(
    "productionVariants[]", any_of(present("serverlessConfig"), equals("managedInstanceScaling.status", "ENABLED"))
)
_NO_SCALING = "nothing adds instances to it when it is busy"

RULES = (
    Rule(
        "MLB-SRV-001",
        "In production, at least two instances are behind an endpoint.",
        Severity.MEDIUM,
        "Start with two instances or more, so that one may fail.",
        checks={
            AWS_CONFIGURATION: _in_production(
                "tags",
                each(
                    "productionVariants[]",
                    any_of(
                        at_least("initialInstanceCount", 2),
                        at_least("managedInstanceScaling.minInstanceCount", 2),
                        present("serverlessConfig"),
                    ),
                ),
            ),
            GCP_SERVICE: when(
                serves_a_model,
                _in_production(
                    "labels",
                    any_of(
                        at_least("template.scaling.minInstanceCount", 2, 0, f"{_RUN}/configuring/min-instances"),
                        at_least("scaling.minInstanceCount", 2),
                        at_least("scaling.manualInstanceCount", 2),
                    ),
                ),
            ),
            GCP_GARDEN_ENDPOINT: at_least("deployConfig.dedicatedResources.minReplicaCount", 2),
            DEPLOYED_INDEX: any_of(
                at_least("dedicatedResources.minReplicaCount", 2),
                all_of(
                    judged("dedicatedResources", lambda value, _: None if value is MISSING else "two replicas"),
                    at_least("automaticResources.minReplicaCount", 2, 2, _INDEX),
                ),
            ),
            AZURE_DEPLOYMENT: _in_production("tags", at_least("sku.capacity", 2)),
        },
        references=(
            "security-hub:SageMaker.4",
            "prowler:sagemaker_endpoint_config_prod_variant_instances",
        ),
        differs={
            "security-hub:SageMaker.4": "We let an endpoint be that is tagged as an experiment, development or test.",
            "prowler:sagemaker_endpoint_config_prod_variant_instances": "As with Security Hub's SageMaker.4.",
        },
    ),
    Rule(
        "MLB-SRV-002",
        "Endpoints follow their load: instances are added, up to a limit.",
        Severity.MEDIUM,
        "Add autoscaling with a maximum above the minimum.",
        relations={
            AWS_ENDPOINT: one_relation(
                related(
                    either(dependents(SCALING_TARGET), naming(SCALING_TARGET, "resourceId", "name")),
                    _NO_SCALING,
                    grows("", "minCapacity", "maxCapacity"),
                    related(
                        either(dependents(SCALING_POLICY), naming(SCALING_POLICY, "resourceId", "resourceId")),
                        _NO_SCALING,
                    ),
                ),
                related(dependencies(AWS_CONFIGURATION), _NO_SCALING, _scaled_by_itself),
            ),
            AZURE_DEPLOYMENT: one_relation(
                related(
                    either(dependents(AUTOSCALE), naming(AUTOSCALE, "targetResourceUri", "deploymentName")),
                    _NO_SCALING,
                    all_of(
                        none_of("enabled", [False]),
                        some("profiles[]", grows("capacity", "minimum", "maximum"), "room to grow"),
                        some("profiles[].rules[]", present("scaleAction"), "a rule that scales"),
                    ),
                ),
                itself(equals("properties.scaleSettings.scaleType", "TargetUtilization")),
            ),
        },
        checks={
            GCP_SERVICE: all_of(
                none_of("scaling.scalingMode", ["MANUAL"]),
                at_least("template.scaling.maxInstanceCount", 2, 100, f"{_RUN}/configuring/max-instances"),
                grows("template.scaling", "minInstanceCount", "maxInstanceCount", 100),
            ),
            GCP_DEPLOYMENT: grows("machines", "minimum", "maximum"),
            GCP_GARDEN_ENDPOINT: grows("deployConfig.dedicatedResources", "minReplicaCount", "maxReplicaCount"),
            DEPLOYED_INDEX: grows("dedicatedResources", "minReplicaCount", "maxReplicaCount"),
            CONTAINER_APP: at_least("template.scale.maxReplicas", 2, 10, _APPS),
        },
    ),
    Rule(
        "MLB-SRV-006",
        "Containers that serve are asked whether they are well, and get requests only then.",
        Severity.MEDIUM,
        "Add probes that ask the service itself, not only its port.",
        checks={
            GCP_SERVICE: when(
                serves_a_model,
                each(
                    "template.containers[]",
                    any_of(
                        *(
                            present(f"{probe}.{way}")
                            for probe in ("startupProbe", "livenessProbe", "readinessProbe")
                            for way in ("httpGet", "grpc")
                        ),
                        present("dependsOns"),
                    ),
                ),
            ),
            AZURE_DEPLOYMENT: all_of(
                *(
                    at_most(f"properties.{probe}.failureThreshold", 30, 30, _AZURE_DEPLOYMENT)
                    for probe in ("livenessProbe", "readinessProbe")
                )
            ),
            CONTAINER_APP: when(
                present("configuration.ingress"),
                some("template.containers[].probes[]", present("httpGet"), "a probe that asks the service"),
            ),
        },
        missing={"aws": "SageMaker asks every container whether it is well (`/ping`), and no setting changes that."},
    ),
    Rule(
        "MLB-SRV-007",
        "Time and concurrency of a request are bounded.",
        Severity.MEDIUM,
        "Set timeouts in seconds, and how many requests may run at once.",
        checks={
            FUNCTION: within(
                "timeout", 300, 3, "https://www.pulumi.com/registry/packages/aws/api-docs/lambda/function/"
            ),
            GCP_SERVICE: all_of(
                within("template.timeout", 300, "300s", f"{_RUN}/configuring/request-timeout"),
                at_most("template.maxInstanceRequestConcurrency", 250, 80, f"{_RUN}/configuring/concurrency"),
            ),
            AZURE_DEPLOYMENT: all_of(
                within("properties.requestSettings.requestTimeout", 90, "PT5S", _AZURE_DEPLOYMENT),
                at_most("properties.requestSettings.maxConcurrentRequestsPerInstance", 250, 1, _AZURE_DEPLOYMENT),
            ),
        },
        relations={
            FUNCTION: one_relation(
                itself(
                    at_least(
                        "reservedConcurrentExecutions",
                        1,
                        -1,
                        "https://www.pulumi.com/registry/packages/aws/api-docs/lambda/function/",
                    )
                ),
                # A stream has at most as many functions as shards; a queue has a limit of its own.
                related(
                    either(dependents(EVENT_SOURCE), naming(EVENT_SOURCE, "functionName", "name")),
                    "nothing limits how many of it run at once",
                    any_of(present("startingPosition"), at_least("scalingConfig.maximumConcurrency", 2)),
                ),
            ),
        },
        references=("checkov:CKV_AWS_115",),
        differs={
            "checkov:CKV_AWS_115": "It wants reserved concurrency of every function; one that reads a stream "
            "is bounded by its shards."
        },
    ),
)
