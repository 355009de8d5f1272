"""What the scoring service must know of a workload: which models it loads, their shares, and how they answer."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pulumi

from ml_blueprints.settings import Settings
from ml_blueprints.workload import Model, Placement, Role, Tenant, Workload

# The environment variable that the scoring container reads on every cloud.
VARIABLE = "ML_BLUEPRINTS_ROUTING"


def artifact_path(model: Model) -> str:
    """Where a model version lies in the models zone of the lake; the same path on every cloud."""
    return f"{model.name}/{model.version}"


def deployed(workload: Workload) -> tuple[Model, ...]:
    """The model versions that run: champions first, then canaries, shadows and members in the order of the file."""
    return workload.models_in(Role.CHAMPION) + workload.models_in(Role.CANARY, Role.SHADOW, Role.MEMBER)


def deployment_name(model: Model) -> str:
    """Name of a deployed version behind an endpoint: lower case letters, digits and `-`, at most 32 characters.

    32 is the shortest limit of the three clouds (Azure ML online deployments). A name that is cut ends with characters
    that tell it from others with the same beginning.
    """
    version = model.version.replace(".", "-")
    space = 31 - len(version)
    if len(model.name) <= space:
        return f"{model.name}-{version}"
    tail = hashlib.sha256(model.name.encode()).hexdigest()[:4]
    return f"{model.name[: space - 5].rstrip('-')}-{tail}-{version}"


def container_name(first: Model, others: str) -> str:
    """Name of a container with more versions than the one that it is there for: at most 32 characters.

    It ends with characters that tell it from containers with other versions: `others` is any text that says which.
    """
    return f"{deployment_name(first)[:27].rstrip('-')}-{hashlib.sha256(others.encode()).hexdigest()[:4]}"


def of_all(workload: Workload) -> tuple[Model, ...]:
    """The versions that run for whoever has none of their own."""
    return tuple(model for model in deployed(workload) if model.tenant is None)


def of_sharing_tenants(workload: Workload) -> tuple[Model, ...]:
    """The versions of tenants that share instances; the platform doesn't know whose request it is."""
    sharing = {tenant.name for tenant in workload.serving.tenants if tenant.placement is Placement.SHARED}
    return tuple(model for model in deployed(workload) if model.tenant in sharing)


def of_dedicated_tenants(workload: Workload) -> Mapping[str, tuple[Model, ...]]:
    """The versions of each tenant with instances of its own, or else the champion of all and its members."""
    champion = tuple(model for model in of_all(workload) if model.role in (Role.CHAMPION, Role.MEMBER))
    return {
        tenant.name: tuple(model for model in deployed(workload) if model.tenant == tenant.name) or champion
        for tenant in workload.serving.tenants
        if tenant.placement is Placement.DEDICATED
    }


def document(workload: Workload, models: tuple[Model, ...]) -> dict[str, Any]:
    """The routing table of these models, as the scoring service reads it (`ml_pipelines.serving.table`)."""
    serving, monitoring = workload.serving, workload.monitoring
    names = {model.name for model in models}
    ensemble = serving.ensemble if serving.ensemble and names.issuperset(serving.ensemble.models) else None
    return {
        "workload": workload.name,
        "entity": workload.data.entity,
        "features": [feature.name for feature in workload.features.definitions],
        # What the event processor sends beside them.
        "fields": list(workload.data.contract.columns),
        "models": [model.model_dump(mode="json", exclude_none=True) for model in models],
        "ensemble": ensemble.model_dump(mode="json", exclude_none=True) if ensemble else None,
        "tenants": {tenant.name: _tenant(tenant) for tenant in serving.tenants},
        "guard": {"error_rate": monitoring.error_rate_objective, "latency_ms": monitoring.latency_objective_ms},
    }


def _tenant(tenant: Tenant) -> dict[str, Any]:
    said = {
        "requests_per_second": tenant.requests_per_second,
        "requests_per_day": tenant.requests_per_day,
        "concurrency": tenant.concurrency,
    }
    namespace = tenant.name if tenant.features == "own" else ""
    return {name: value for name, value in said.items() if value is not None} | {"namespace": namespace}


def environment(workload: Workload, settings: Settings, models: tuple[Model, ...]) -> dict[str, str]:
    """What a scoring container is told on every cloud: the routing table, and whose models and tokens it trusts."""
    variables = {
        VARIABLE: json.dumps(document(workload, models), separators=(",", ":"), sort_keys=True),
        "ENVIRONMENT": settings.environment,
        "TRUSTED_KEYS": ",".join(settings.trusted_keys),
    }
    if workload.serving.tenants and (tokens := settings.tokens):
        variables |= {
            "TOKEN_ISSUER": tokens.issuer,
            "TOKEN_AUDIENCE": tokens.audience,
            "TOKEN_KEYS": tokens.keys,
            "TOKEN_CLAIM": tokens.claim,
        }
    return variables


def behind_router(workload: Workload, settings: Settings, models: tuple[Model, ...]) -> dict[str, str]:
    """What a scoring container is told that the platform lets a router alone ask: this tells the tenant, no token."""
    variables = environment(workload, settings, models)
    return {name: value for name, value in variables.items() if not name.startswith("TOKEN_")} | {"BEHIND_ROUTER": "1"}


def in_parts(variables: Mapping[str, str], longest: int) -> dict[str, str]:
    """The same variables where a cloud's values have so many characters at most: the routing table goes on in others.

    SageMaker's have 1,024. The service puts `ML_BLUEPRINTS_ROUTING`, `ML_BLUEPRINTS_ROUTING_2` and so on together.
    """
    table = variables[VARIABLE]
    parts = [table[start : start + longest] for start in range(0, len(table), longest)]
    names = (VARIABLE, *(f"{VARIABLE}_{number}" for number in range(2, len(parts) + 1)))
    return {**variables, **dict(zip(names, parts, strict=True))}


def image_name(image: str) -> str:
    """The name of an image without registry and digest, as a repository is called."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def image_reference(image: str, repository: pulumi.Input[str]) -> pulumi.Output[str]:
    """An image by digest: relative names (`name@sha256:...`) are those of the platform's own repository."""
    if "/" in image:
        return pulumi.Output.from_input(image)
    return pulumi.Output.concat(repository, "/", image)


def grouped_by_name(models: tuple[Model, ...]) -> Mapping[str, list[Model]]:
    """Model name to its versions, in the order of the file: a registry has one place per name."""
    groups: dict[str, list[Model]] = {}
    for model in models:
        groups.setdefault(model.name, []).append(model)
    return groups
