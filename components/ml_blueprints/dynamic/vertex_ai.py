"""Models of Vertex AI, their deployments and an endpoint's traffic: pulumi-gcp has no resources for them.

    endpoint = vertex.AiEndpoint("scoring", name="1234567890", display_name="scoring", location="europe-west1")
    model = VertexModel("scoring-1", Container(image=image, environment={"MODELS": "gs://acme/models"}))
    deployment = VertexDeployment("scoring-1", endpoint.id, model.resource_name, Machines("n1-standard-2", 2, 4))
    traffic = VertexTraffic("scoring", endpoint.id, [Share(deployment.deployed_id, 100)])

They use project, region, credentials and `vertexAiCustomEndpoint` of the Google provider's configuration. A new version
is another model and another deployment beside the old ones; the traffic moves to it, and then the old ones go: the
engine sees to this order by itself, since the traffic names the deployments. Asked of the provider since 2023:
github.com/hashicorp/terraform-provider-google, issues 15303, 23372 and 25152.

Their code runs where the engine does, so that this package must be installed there; a stack's state names it by
`ml_blueprints.dynamic.vertex_ai`.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)
from pulumi.runtime.rpc import UNKNOWN

from ml_blueprints.dynamic.vertex_client import Connection, Vertex, VertexError, explained

# Deployments take long: a machine starts, and fetches an image and models.
# https://cloud.google.com/vertex-ai/docs/general/deployment
_UPLOAD_SECONDS, _DEPLOY_SECONDS = 1800, 3600

_PLACE = re.compile(r"projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/(?P<rest>.+)")
_ENDPOINT = re.compile(r"projects/[^/]+/locations/[^/]+/endpoints/[^/]+")

# What a deployment may have changed without being made anew, as the API's update mask names it.
# https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/mutateDeployedModel
_REPLICAS = {
    "minimum": "dedicated_resources.min_replica_count",
    "maximum": "dedicated_resources.max_replica_count",
    "targets": "dedicated_resources.autoscaling_metric_specs",
}


@dataclass(frozen=True)
class Container:
    """What a model runs. `image` is in Artifact Registry; routes are paths on `port`."""

    image: pulumi.Input[str]
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    predict_route: str = "/predict"
    health_route: str = "/health"
    port: int = 8080
    command: Sequence[str] = ()


@dataclass(frozen=True)
class Machines:
    """What a deployment runs on: so many machines of a type, whose number follows `targets`.

    targets: per metric of Vertex AI, such as `aiplatform.googleapis.com/prediction/online/cpu/utilization`, the value
    that is kept; by default 60 percent of the processors. spot: machines that Google may take back at any time.
    """

    type: pulumi.Input[str]
    minimum: int = 1
    maximum: int = 1
    targets: Mapping[str, int] = field(default_factory=dict)
    spot: bool = False


@dataclass(frozen=True)
class Share:
    """The percent of an endpoint's requests that one of its deployments answers."""

    deployed: pulumi.Input[str]
    percent: int


class VertexModel(Resource, module="ml_blueprints", name="VertexModel"):
    """A version of a model, uploaded to Vertex AI: the container that answers.

    resource_name: what a deployment names. model_id: its last part, which follows from all that can't be changed in
    place, so that a change is a new model beside the old one. Names, description and labels change in place.
    """

    resource_name: pulumi.Output[str]
    model_id: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        container: Container,
        display_name: str | None = None,
        description: str = "",
        labels: Mapping[str, str] | None = None,
        encryption_key: pulumi.Input[str] | None = None,
        project: pulumi.Input[str] | None = None,
        location: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ):
        settings = pulumi.Config("gcp")
        said = {
            "project": project or settings.get("project") or os.environ.get("GOOGLE_PROJECT"),
            "location": location or settings.get("region") or os.environ.get("GOOGLE_REGION"),
            # Two stacks may have a model of the same name in one project.
            "owner": f"{pulumi.get_project()}/{pulumi.get_stack()}/{name}",
            "container": {
                "image": container.image,
                "environment": dict(container.environment),
                "predict_route": container.predict_route,
                "health_route": container.health_route,
                "port": container.port,
                "command": list(container.command),
            },
            "display_name": display_name or name,
            "description": description,
            "labels": dict(labels or {}),
            "encryption_key": encryption_key or "",
        }
        super().__init__(_ModelProvider(), name, said | {"resource_name": None, "model_id": None}, opts)


class VertexDeployment(Resource, module="ml_blueprints", name="VertexDeployment"):
    """A model on an endpoint, with machines of its own, or in a pool that several deployments share.

    It takes no traffic until a VertexTraffic gives it some. Where it is deleted with a share of the traffic left, the
    other deployments get that share first. Numbers of machines change in place; all else makes a new deployment, which
    is there before the old one goes. A pool takes models of Google's own containers only, not of one's own
    (https://cloud.google.com/vertex-ai/docs/predictions/model-co-hosting#limitations).

    deployed_id: what the traffic names.
    """

    deployed_id: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        endpoint: pulumi.Input[str],
        model: pulumi.Input[str],
        resources: Machines | pulumi.Input[str],
        display_name: str | None = None,
        service_account: pulumi.Input[str] | None = None,
        access_logging: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ):
        own = resources if isinstance(resources, Machines) else None
        said = {
            "endpoint": endpoint,
            "model": model,
            "machines": own
            and {
                "type": own.type,
                "minimum": own.minimum,
                "maximum": own.maximum,
                "targets": dict(own.targets),
                "spot": own.spot,
            },
            "pool": None if own else resources,
            "display_name": display_name or name,
            "service_account": service_account or "",
            "access_logging": access_logging,
        }
        super().__init__(_DeploymentProvider(), name, said | {"deployed_id": None}, opts)


class VertexTraffic(Resource, module="ml_blueprints", name="VertexTraffic"):
    """Which deployments of an endpoint answer which percent of its requests; those that aren't named answer none.

    Deleting it leaves the endpoint without traffic. service_attachment: where a private endpoint can be reached by
    Private Service Connect, empty for others; it stays the same as long as the endpoint has a deployment.
    """

    service_attachment: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        endpoint: pulumi.Input[str],
        shares: Sequence[Share],
        opts: pulumi.ResourceOptions | None = None,
    ):
        said = {
            "endpoint": endpoint,
            "shares": [{"deployed": share.deployed, "percent": share.percent} for share in shares],
        }
        super().__init__(_TrafficProvider(), name, said | {"service_attachment": None}, opts)


class _Provider(ResourceProvider):
    """What the three have in common. `replaced`: properties of which a change makes a new resource."""

    # It is this module's name and nothing else: there is no secret in it.
    serialize_as_secret_always = False
    inputs: ClassVar[tuple[str, ...]]
    replaced: ClassVar[frozenset[str]]

    def configure(self, req: ConfigureRequest) -> None:
        self._connection = Connection.of(req.config)
        self._clients: dict[str, Vertex] = {}

    def named(self, said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The id of a resource that is said to be so, and its outputs, as far as they follow from that."""
        raise NotImplementedError

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        return CheckResult(news, [CheckFailure(name, reason) for name, reason in self.wrong(news)])

    def wrong(self, said: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """The properties that are wrong, and why."""
        return ()

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        changed = [name for name in self.inputs if self.comparable(name, _olds) != self.comparable(name, _news)]
        return DiffResult(
            changes=bool(changed),
            replaces=sorted(self.replaced.intersection(changed)),
            delete_before_replace=False,
        )

    def comparable(self, name: str, said: Mapping[str, Any]) -> Any:
        """A property, so that what means the same is the same."""
        return _plain(said.get(name))

    def vertex(self, resource: str) -> Vertex:
        """The clients for the region in which something is. Raises VertexError for what names none."""
        found = _PLACE.fullmatch(resource)
        if found is None:
            raise VertexError(f"found `{resource}`; a name such as `projects/acme/locations/europe-west1/...` is right")
        location = found["location"]
        if location not in self._clients:
            self._clients[location] = Vertex(self._connection, location)
        return self._clients[location]


class _ModelProvider(_Provider):
    inputs = ("project", "location", "owner", "container", "display_name", "description", "labels", "encryption_key")
    replaced = frozenset({"project", "location", "owner", "container", "encryption_key"})

    def wrong(self, said: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        for name, setting in (("project", "gcp:project"), ("location", "gcp:region")):
            if not said.get(name):
                yield name, f"nothing was given, and the stack has no `{setting}` (`pulumi config set {setting} ...`)"

    def named(self, said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        model_id = model_id_of(said)
        name = f"projects/{said['project']}/locations/{said['location']}/models/{model_id}"
        return name, _kept(said, self.inputs) | {"resource_name": name, "model_id": model_id}

    def create(self, props: dict[str, Any]) -> CreateResult:
        name, outs = self.named(props)
        vertex = self.vertex(name)
        # A run that was stopped may have left it: its id says that it is the same.
        if vertex.model(name) is None:
            request = {
                "parent": name.partition("/models/")[0],
                "model_id": outs["model_id"],
                "model": _model(props),
            }
            with explained(f"the model `{props['display_name']}` can't be uploaded"):
                vertex.wait(vertex.models.upload_model(request=request), _UPLOAD_SECONDS)
        return CreateResult(name, outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        found = self.vertex(id_).model(id_)
        if found is None:
            return ReadResult("", {})
        now = {"display_name": found.display_name, "description": found.description, "labels": dict(found.labels)}
        outs = props | now
        return ReadResult(id_, outs, _kept(outs, self.inputs))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        vertex = self.vertex(_id)
        parts = ("display_name", "description", "labels")
        request = {
            "model": {"name": _id} | {name: _news[name] for name in parts},
            "update_mask": {"paths": list(parts)},
        }
        with explained(f"`{_id}` can't be changed"):
            vertex.models.update_model(request=request)
        return UpdateResult(_olds | _kept(_news, self.inputs))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        vertex = self.vertex(_id)
        if (found := vertex.model(_id)) is None:
            return
        if found.deployed_models:
            endpoints = ", ".join(sorted({one.endpoint for one in found.deployed_models}))
            raise VertexError(f"`{_id}` can't be deleted: it is deployed on {endpoints}; undeploy it there first")
        with explained(f"`{_id}` can't be deleted"):
            vertex.wait(vertex.models.delete_model(name=_id), _UPLOAD_SECONDS)


class _DeploymentProvider(_Provider):
    inputs = ("endpoint", "model", "machines", "pool", "display_name", "service_account", "access_logging")
    replaced = frozenset({"endpoint", "model", "kind", "pool", "display_name", "service_account", "access_logging"})

    def wrong(self, said: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        if (machines := said.get("machines")) in (None, UNKNOWN):
            return
        least, most = machines["minimum"], machines["maximum"]
        if UNKNOWN not in (least, most) and not 1 <= least <= most:
            found = f"found {least:g} to {most:g} machines"
            yield "machines", f"{found}; at least 1, and a maximum that isn't below the minimum, is right"

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Numbers of machines change in place; their type doesn't."""
        result = super().diff(_id, _olds, _news)
        if _kind(_olds) != _kind(_news):
            result.replaces = sorted({*(result.replaces or ()), "machines"})
        return result

    def named(self, said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        deployed_id = deployed_id_of(said)
        outs = _kept(said, self.inputs) | {"deployed_id": deployed_id}
        return f"{said['endpoint']}/deployedModels/{deployed_id}", outs

    def create(self, props: dict[str, Any]) -> CreateResult:
        id_, outs = self.named(props)
        endpoint, deployed_id = props["endpoint"], outs["deployed_id"]
        vertex = self.vertex(endpoint)
        what = f"`{props['display_name']}` can't be deployed on {endpoint}"
        if (now := vertex.endpoint(endpoint)) is None:
            raise VertexError(f"{what}: there is no such endpoint")
        # A run that was stopped may have left it: its id says that it is the same.
        if all(one.id != deployed_id for one in now.deployed_models):
            request = {"endpoint": endpoint, "deployed_model": _deployed_model(props, deployed_id)}
            with explained(what):
                vertex.wait(vertex.endpoints.deploy_model(request=request), _DEPLOY_SECONDS)
        return CreateResult(id_, outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        endpoint, _, deployed_id = id_.partition("/deployedModels/")
        now = self.vertex(endpoint).endpoint(endpoint)
        found = next((one for one in now.deployed_models if one.id == deployed_id), None) if now else None
        if found is None:
            return ReadResult("", {})
        outs = dict(props)
        if outs.get("machines"):
            resources = found.dedicated_resources
            outs["machines"] = outs["machines"] | {
                "type": resources.machine_spec.machine_type,
                "minimum": resources.min_replica_count,
                "maximum": resources.max_replica_count,
                "targets": {spec.metric_name: spec.target for spec in resources.autoscaling_metric_specs},
            }
        return ReadResult(id_, outs, _kept(outs, self.inputs))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        endpoint, vertex = _news["endpoint"], self.vertex(_news["endpoint"])
        old, new = _olds["machines"], _news["machines"]
        changed = [path for name, path in _REPLICAS.items() if _plain(old.get(name)) != _plain(new.get(name))]
        request = {
            "endpoint": endpoint,
            "deployed_model": {
                "id": _olds["deployed_id"],
                "dedicated_resources": _dedicated(new),
            },
            "update_mask": {"paths": changed},
        }
        with explained(f"the machines of `{_news['display_name']}` can't be changed"):
            vertex.wait(vertex.endpoints.mutate_deployed_model(request=request), _DEPLOY_SECONDS)
        return UpdateResult(_olds | _kept(_news, self.inputs))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        endpoint, _, deployed_id = _id.partition("/deployedModels/")
        vertex = self.vertex(endpoint)
        now = vertex.endpoint(endpoint)
        if now is None or all(one.id != deployed_id for one in now.deployed_models):
            return
        what = f"`{_props.get('display_name')}` can't be undeployed from {endpoint}"
        split = dict(now.traffic_split)
        if split.pop(deployed_id, 0) and len(now.deployed_models) > 1:
            left = shared_out(split)
            if not left:
                raise VertexError(f"{what}: it answers all requests, and others are there: give them its traffic")
            with explained(what):
                _divide(vertex, endpoint, left)
        with explained(what):
            started = vertex.endpoints.undeploy_model(request={"endpoint": endpoint, "deployed_model_id": deployed_id})
            vertex.wait(started, _DEPLOY_SECONDS)


class _TrafficProvider(_Provider):
    inputs = ("endpoint", "shares")
    replaced = frozenset({"endpoint"})

    def wrong(self, said: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        shares = said.get("shares")
        if shares == UNKNOWN or not isinstance(shares, list):
            return
        percents = [share["percent"] for share in shares]
        known = [share["deployed"] for share in shares if share["deployed"] != UNKNOWN]
        if UNKNOWN not in percents and (sum(percents) != 100 or min(percents) < 0):
            found = ", ".join(f"{percent:g}" for percent in percents) or "none"
            yield "shares", f"found {found}; percents from 0 on that add up to 100 are right"
        if len(set(known)) < len(known):
            yield "shares", f"found {', '.join(known)}; each deployment is named once"

    def comparable(self, name: str, said: Mapping[str, Any]) -> Any:
        """Nothing and a share of 0 are the same, and so are shares in another order."""
        value = said.get(name)
        if name != "shares" or not isinstance(value, list):
            return value
        return sorted((share["deployed"], int(share["percent"])) for share in value if share["percent"])

    def named(self, said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        return f"{said['endpoint']}/trafficSplit", _kept(said, self.inputs) | {"service_attachment": ""}

    def create(self, props: dict[str, Any]) -> CreateResult:
        id_, outs = self.named(props)
        return CreateResult(id_, outs | self._set(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._set(_news))

    def _set(self, said: Mapping[str, Any]) -> dict[str, Any]:
        endpoint, vertex = said["endpoint"], self.vertex(said["endpoint"])
        split = {share["deployed"]: int(share["percent"]) for share in said["shares"] if share["percent"]}
        with explained(f"the traffic of {endpoint} can't be divided"):
            now = _divide(vertex, endpoint, split)
        return _kept(said, self.inputs) | {"service_attachment": _attachment(now)}

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        endpoint = id_.removesuffix("/trafficSplit")
        now = self.vertex(endpoint).endpoint(endpoint)
        if now is None or not now.traffic_split:
            return ReadResult("", {})
        shares = [{"deployed": one, "percent": percent} for one, percent in sorted(now.traffic_split.items())]
        if self.comparable("shares", {"shares": shares}) == self.comparable("shares", props):
            shares = props["shares"]
        outs = props | {"endpoint": endpoint, "shares": shares, "service_attachment": _attachment(now)}
        return ReadResult(id_, outs, _kept(outs, self.inputs))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        endpoint = _id.removesuffix("/trafficSplit")
        vertex = self.vertex(endpoint)
        if vertex.endpoint(endpoint) is None:
            return
        with explained(f"the traffic of {endpoint} can't be taken away"):
            _divide(vertex, endpoint, {})


def model_id_of(said: Mapping[str, Any]) -> str:
    """An id of at most 63 lower case letters, digits, `-` and `_`, a letter first, that follows from what is fixed."""
    name = re.sub(r"[^a-z0-9_-]", "-", said["owner"].rpartition("/")[2].lower())
    begins = name if name[:1].isalpha() else f"m-{name}"
    return f"{begins[:50].rstrip('-')}-{_digest(said, _ModelProvider.replaced)}"


def deployed_id_of(said: Mapping[str, Any]) -> str:
    """An id of ten digits, as Vertex AI takes them, that follows from what is fixed."""
    fixed = dict(said) | {"kind": _kind(said)}
    return str(10**9 + int(_digest(fixed, _DeploymentProvider.replaced), 16) % (9 * 10**9))


def shared_out(split: Mapping[str, int]) -> dict[str, int]:
    """Shares scaled so that they add up to 100; the largest takes what rounding leaves. Empty if all were 0."""
    total = sum(split.values())
    if not total:
        return {}
    scaled = {one: percent * 100 // total for one, percent in split.items()}
    scaled[max(scaled, key=scaled.__getitem__)] += 100 - sum(scaled.values())
    return {one: percent for one, percent in scaled.items() if percent}


def _digest(said: Mapping[str, Any], names: Iterable[str]) -> str:
    text = json.dumps({name: _plain(said.get(name)) for name in sorted(names)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _plain(value: Any) -> Any:
    """A value without a difference between whole numbers of the engine, which all have a point, and others."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _kept(said: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: said.get(name) for name in names}


def _kind(said: Mapping[str, Any]) -> Any:
    """What of the machines can't be changed."""
    machines = said.get("machines")
    return {name: machines.get(name) for name in ("type", "spot")} if isinstance(machines, Mapping) else machines


def _model(said: Mapping[str, Any]) -> dict[str, Any]:
    container = said["container"]
    model = {
        "display_name": said["display_name"],
        "description": said["description"],
        "labels": said["labels"],
        "container_spec": {
            "image_uri": container["image"],
            "command": container["command"],
            "env": [{"name": name, "value": value} for name, value in sorted(container["environment"].items())],
            "ports": [{"container_port": int(container["port"])}],
            "predict_route": container["predict_route"],
            "health_route": container["health_route"],
        },
    }
    return model | ({"encryption_spec": {"kms_key_name": said["encryption_key"]}} if said["encryption_key"] else {})


def _deployed_model(said: Mapping[str, Any], deployed_id: str) -> dict[str, Any]:
    # The engine leaves out what is nothing.
    machines, pool = said.get("machines"), said.get("pool")
    on = {"dedicated_resources": _dedicated(machines)} if machines else {"shared_resources": pool}
    return on | {
        "id": deployed_id,
        "model": said["model"],
        "display_name": said["display_name"],
        "service_account": said["service_account"],
        "enable_access_logging": said["access_logging"],
    }


def _dedicated(machines: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "machine_spec": {"machine_type": machines["type"]},
        "min_replica_count": int(machines["minimum"]),
        "max_replica_count": int(machines["maximum"]),
        "autoscaling_metric_specs": [
            {"metric_name": name, "target": int(target)} for name, target in sorted(machines["targets"].items())
        ],
        "spot": machines["spot"],
    }


def _divide(vertex: Vertex, endpoint: str, split: Mapping[str, int]) -> Any:
    request = {
        "endpoint": {"name": endpoint, "traffic_split": dict(split)},
        "update_mask": {"paths": ["traffic_split"]},
    }
    return vertex.endpoints.update_endpoint(request=request)


def _attachment(endpoint: Any) -> str:
    """The endpoint's, or one of its deployments' as they had it first."""
    own = endpoint.private_service_connect_config.service_attachment
    each = (one.private_endpoints.service_attachment for one in endpoint.deployed_models)
    return own or next(filter(None, each), "")
