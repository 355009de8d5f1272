"""Vertex AI's models, deployments and traffic, by its own API, on the state of the sandbox's Google Cloud.

Requests are checked by Google's description of the API. What the service itself refuses beside is below, with its
sources. Endpoints and pools are those that the provider has made. An operation isn't done when it is started, and is
when it is asked for next.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sandbox import faults
from sandbox.apis.discovery import api
from sandbox.provider.cloud import Cloud
from sandbox.store import Record

MODEL = "aiplatform.googleapis.com/Model"
DEPLOYED_MODEL = "aiplatform.googleapis.com/DeployedModel"
ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"
POOL = "gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool"

_PREFIX = "GoogleCloudAiplatformV1"
_ANSWERS = "type.googleapis.com/google.cloud.aiplatform.v1."
_LOCATION = re.compile(r"projects/[^/]+/locations/([^/]+)/.*")
_MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_DEPLOYED_ID = re.compile(r"\d{1,10}")

# Machines of online inference. https://cloud.google.com/vertex-ai/docs/predictions/configure-compute#machine-types
_MACHINE = re.compile(
    r"(n1-(standard|highmem|highcpu)-(2|4|8|16|32)|e2-(standard|highmem|highcpu)-(2|4|8|16|32)"
    r"|(n2|n2d)-(standard|highmem|highcpu)-(2|4|8|16|32|48|64|80|96|128)|n4-(standard|highmem|highcpu)-\d+"
    r"|c2-standard-(4|8|16|30|60)|c2d-(standard|highmem|highcpu)-\d+|c3-(standard|highmem|highcpu)-\d+"
    r"|c4-(standard|highmem|highcpu)-\d+|(a2|a3|a4|g2|g4)-\w+-\w+|ct\w+-\w+-\w+)"
)

# Where images of one's own, and Google's own for prediction, are.
# https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements#publishing
_IMAGE = re.compile(r"([a-z0-9-]+-docker\.pkg\.dev|([a-z]+\.)?gcr\.io)/.+")
_GOOGLES_IMAGE = re.compile(r"[a-z]+-docker\.pkg\.dev/vertex-ai(-restricted)?/prediction/(tf2|pytorch)-.+")

# What can be changed of what is deployed.
# https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/mutateDeployedModel
_MUTABLE = frozenset(
    f"dedicatedResources.{name}"
    for name in ("minReplicaCount", "maxReplicaCount", "requiredReplicaCount", "autoscalingMetricSpecs")
) | {"disableContainerLogging"}
# https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models/patch
_PATCHABLE = frozenset({"displayName", "description", "labels"})

Answer = dict[str, Any]


class RefusedError(Exception):
    """A request is refused, with the status of HTTP and the code of Google's APIs."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code = status, code


def _invalid(message: str) -> RefusedError:
    return RefusedError(400, "INVALID_ARGUMENT", message)


def _precondition(message: str) -> RefusedError:
    return RefusedError(400, "FAILED_PRECONDITION", message)


def _missing(name: str) -> RefusedError:
    return RefusedError(404, "NOT_FOUND", f"{name} is not found")


class VertexAi:
    """Answers requests by their method, path and body; each is all or nothing."""

    def __init__(self, cloud: Cloud):
        self.cloud, self.store = cloud, cloud.store

    def answer(self, verb: str, path: str, query: Mapping[str, str], body: Any) -> Answer:
        """Raises RefusedError."""
        described = api("aiplatform", "v1")
        found = described.find(verb, path)
        if found is None:
            raise RefusedError(404, "NOT_FOUND", f"{verb} {path}: the API has no such method")
        method, name = found
        if method.id.endswith(".operations.get"):
            return self._operation(name)
        handle = _HANDLERS.get(method.id.removeprefix("aiplatform.projects.locations."))
        if handle is None:
            raise RefusedError(501, "UNIMPLEMENTED", f"the sandbox's Vertex AI has no {method.id}")
        if method.body and (wrong := list(described.wrong(method.body, body, required=verb != "PATCH"))):
            raise _invalid("; ".join(wrong))
        with self.store.change():
            answer = handle(self, name, body or {}, _paths(query.get("updateMask", "")))
            if method.answer == "GoogleLongrunningOperation":
                return self._started(name, answer)
            return answer

    # Operations

    def _started(self, about: str, answer: Answer) -> Answer:
        name = f"{about}/operations/{uuid.uuid4().int % 10**19}"
        self.store.add_operation(name, answer)
        return {"name": name, "done": False}

    def _operation(self, name: str) -> Answer:
        answer = self.store.operation(name)
        if answer is None:
            raise _missing(name)
        return {"name": name, "done": True, "response": answer}

    # Models

    def _upload(self, parent: str, body: Answer, _: set[str]) -> Answer:
        model = body["model"]
        faults.meet(self.store, "create", MODEL)
        model_id = body.get("modelId") or str(uuid.uuid4().int)[:19]
        if body.get("modelId") and not _MODEL_ID.fullmatch(model_id):
            raise _invalid(f"modelId: found `{model_id}`; at most 63 lower case letters, digits, `_` and `-`")
        name = f"{parent}/models/{model_id}"
        if self._record(MODEL, name):
            raise RefusedError(409, "ALREADY_EXISTS", f"the model {name} already exists")
        container = model.get("containerSpec")
        if container is None:
            raise _invalid("model.containerSpec: is missing; a model is uploaded with the container that serves it")
        if not _IMAGE.fullmatch(container["imageUri"]):
            raise _invalid(
                f"model.containerSpec.imageUri: found `{container['imageUri']}`; an image in Artifact Registry is right"
            )
        key = model.get("encryptionSpec", {}).get("kmsKeyName")
        if key:
            self._exists("model.encryptionSpec.kmsKeyName", key)
        now = _now()
        kept = model | {
            "name": name,
            "versionId": "1",
            "versionAliases": ["default"],
            "createTime": now,
            "updateTime": now,
        }
        self.store.add(Record(MODEL, "", name, "", body, kept), [name], [key] if key else [])
        return {"@type": f"{_ANSWERS}UploadModelResponse", "model": name, "modelVersionId": "1"}

    def _get_model(self, name: str, _: Answer, __: set[str]) -> Answer:
        record = self._needed(MODEL, name.partition("@")[0])
        where = [
            {"endpoint": one.outputs["endpoint"], "deployedModelId": one.outputs["id"]} for one in self._users(record)
        ]
        return record.outputs | {"deployedModels": where}

    def _patch_model(self, name: str, body: Answer, mask: set[str]) -> Answer:
        record = self._needed(MODEL, name.partition("@")[0])
        if other := mask - _PATCHABLE:
            raise _invalid(
                f"updateMask: {', '.join(sorted(other))} can't be changed, but {', '.join(sorted(_PATCHABLE))}"
            )
        changed = record.outputs | {part: body.get(part, {} if part == "labels" else "") for part in mask}
        self._write(record, changed | {"updateTime": _now()})
        return self._get_model(name, {}, set())

    def _delete_model(self, name: str, _: Answer, __: set[str]) -> Answer:
        record = self._needed(MODEL, name)
        if users := self._users(record):
            where = ", ".join(sorted({one.outputs["endpoint"] for one in users}))
            raise _precondition(f"the model {name} can't be deleted: it is deployed on {where}; undeploy it first")
        self.store.remove(record.key)
        return {"@type": "type.googleapis.com/google.protobuf.Empty"}

    # Endpoints

    def _get_endpoint(self, name: str, _: Answer, __: set[str]) -> Answer:
        record = self._needed(ENDPOINT, name)
        said = record.outputs
        answer: Answer = {
            "name": name,
            "displayName": said.get("displayName", ""),
            "deployedModels": [one.outputs["deployedModel"] for one in self._deployed(name)],
            "trafficSplit": self._split(name),
        }
        known = api("aiplatform", "v1").schema(f"{_PREFIX}Endpoint")
        kept = ("labels", "encryptionSpec", "privateServiceConnectConfig", "dedicatedEndpointEnabled", "network")
        answer |= {part: said[part] for part in kept if part in said and part in known}
        private = answer.get("privateServiceConnectConfig")
        if private:
            fields = api("aiplatform", "v1").schema(f"{_PREFIX}PrivateServiceConnectConfig")
            answer["privateServiceConnectConfig"] = {part: value for part, value in private.items() if part in fields}
            # There as long as something is deployed.
            if answer["deployedModels"]:
                answer["privateServiceConnectConfig"]["serviceAttachment"] = service_attachment(name)
        return answer

    def _patch_endpoint(self, name: str, body: Answer, mask: set[str]) -> Answer:
        record = self._needed(ENDPOINT, name)
        if other := mask - {"trafficSplit"}:
            raise _invalid(
                f"updateMask: the sandbox's Vertex AI changes trafficSplit alone, not {', '.join(sorted(other))}"
            )
        self._divide(record, body.get("trafficSplit", {}), self._deployed(name))
        return self._get_endpoint(name, {}, set())

    def _divide(self, endpoint: Record, split: Mapping[str, int], deployed: Sequence[Record]) -> None:
        """https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints#Endpoint.FIELDS.traffic_split"""
        ids = {one.outputs["id"] for one in deployed}
        if unknown := set(split) - ids:
            raise _invalid(f"trafficSplit: {_listed(unknown)} isn't deployed on {endpoint.id}; {_listed(ids)} is")
        if split and (sum(split.values()) != 100 or min(split.values()) < 0):
            told = ", ".join(f"{one}: {percent}" for one, percent in split.items())
            raise _invalid(f"trafficSplit: found {told}; percents that add up to 100, or none at all, are right")
        for one in deployed:
            self._write(one, one.outputs | {"percent": split.get(one.outputs["id"], 0)})
        # As the provider reads it.
        self._write(endpoint, endpoint.outputs | {"trafficSplit": json.dumps(split)})

    def _split(self, endpoint: str) -> dict[str, int]:
        deployed = self._deployed(endpoint)
        return {one.outputs["id"]: one.outputs["percent"] for one in deployed if one.outputs["percent"]}

    def _deploy(self, endpoint: str, body: Answer, _: set[str]) -> Answer:
        faults.meet(self.store, "create", DEPLOYED_MODEL)
        record, deployed = self._needed(ENDPOINT, endpoint), body["deployedModel"]
        there = {one.outputs["id"] for one in self._deployed(endpoint)}
        id_ = deployed.get("id") or str(uuid.uuid4().int)[:10]
        if not _DEPLOYED_ID.fullmatch(id_):
            raise _invalid(f"deployedModel.id: found `{id_}`; 1 to 10 digits are right")
        if id_ in there:
            raise RefusedError(409, "ALREADY_EXISTS", f"{endpoint} already has a deployed model {id_}")
        model = self._needed(MODEL, deployed.get("model", "").partition("@")[0])
        if _place(model.id) != _place(endpoint):
            raise _invalid(f"deployedModel.model: {model.id} isn't in the region of {endpoint}")
        uses = [endpoint, model.id, *self._resources(deployed, model)]
        if account := deployed.get("serviceAccount"):
            self._exists("deployedModel.serviceAccount", account)
        kept = deployed | {
            "id": id_,
            "displayName": deployed.get("displayName") or model.outputs["displayName"],
            "modelVersionId": "1",
            "createTime": _now(),
        }
        name = f"{endpoint}/deployedModels/{id_}"
        outputs = {"endpoint": endpoint, "id": id_, "deployedModel": kept, "percent": 0}
        self.store.add(Record(DEPLOYED_MODEL, "", name, "", body, outputs), [name], uses)
        if split := body.get("trafficSplit"):
            named = {id_ if one == "0" else one: percent for one, percent in split.items()}
            self._divide(record, named, self._deployed(endpoint))
        return {"@type": f"{_ANSWERS}DeployModelResponse", "deployedModel": kept}

    def _resources(self, deployed: Answer, model: Record) -> list[str]:
        """What it runs on, as far as that is something that exists."""
        kinds = [kind for kind in ("dedicatedResources", "automaticResources", "sharedResources") if deployed.get(kind)]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none of them"
            raise _invalid(f"deployedModel: found {found}; dedicatedResources or sharedResources is right")
        image = model.outputs["containerSpec"]["imageUri"]
        if kinds == ["sharedResources"]:
            pool = deployed["sharedResources"]
            if not self._record(POOL, pool):
                raise _missing(f"deployedModel.sharedResources: the pool {pool}")
            # https://cloud.google.com/vertex-ai/docs/predictions/model-co-hosting#limitations
            if not _GOOGLES_IMAGE.fullmatch(image):
                right = "Google's own containers for TensorFlow and PyTorch"
                raise _precondition(f"deployedModel.sharedResources: pools take {right}, and not `{image}`")
            return [pool]
        if kinds == ["automaticResources"]:
            raise _precondition("deployedModel.automaticResources: a container of one's own needs dedicatedResources")
        self._dedicated(deployed["dedicatedResources"])
        return []

    def _dedicated(self, resources: Answer) -> None:
        path = "deployedModel.dedicatedResources"
        machine = resources["machineSpec"].get("machineType", "")
        if not _MACHINE.fullmatch(machine):
            raise _invalid(f"{path}.machineSpec.machineType: `{machine}` is no machine of online inference")
        least, most = resources["minReplicaCount"], resources.get("maxReplicaCount", resources["minReplicaCount"])
        if not 1 <= least <= most:
            raise _invalid(f"{path}: found {least} to {most} replicas; at least 1, and a maximum from the minimum on")
        described = api("aiplatform", "v1").schema(f"{_PREFIX}AutoscalingMetricSpec")["metricName"]["description"]
        known = re.findall(r"`(aiplatform\.googleapis\.com/[\w/]+)`", described)
        for spec in resources.get("autoscalingMetricSpecs", ()):
            if spec["metricName"] not in known:
                raise _invalid(f"{path}.autoscalingMetricSpecs: `{spec['metricName']}` is none of {', '.join(known)}")

    def _mutate(self, endpoint: str, body: Answer, _: set[str]) -> Answer:
        mask, changed = _paths(body["updateMask"]), body["deployedModel"]
        record = self._needed(DEPLOYED_MODEL, f"{endpoint}/deployedModels/{changed.get('id', '')}")
        if other := mask - _MUTABLE:
            raise _invalid(f"updateMask: {', '.join(sorted(other))} can't be changed; {_listed(_MUTABLE)} can")
        kept = record.outputs["deployedModel"]
        resources = dict(kept.get("dedicatedResources", {}))
        for path in mask:
            part = path.removeprefix("dedicatedResources.")
            if part == path:
                kept = kept | {part: changed.get(part, False)}
            elif part in changed.get("dedicatedResources", {}):
                resources[part] = changed["dedicatedResources"][part]
            else:
                resources.pop(part, None)
        if resources:
            self._dedicated(resources)
            kept = kept | {"dedicatedResources": resources}
        self._write(record, record.outputs | {"deployedModel": kept})
        return {"@type": f"{_ANSWERS}MutateDeployedModelResponse", "deployedModel": kept}

    def _undeploy(self, endpoint: str, body: Answer, _: set[str]) -> Answer:
        """https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/undeployModel"""
        record, id_ = self._needed(ENDPOINT, endpoint), body["deployedModelId"]
        gone = self._needed(DEPLOYED_MODEL, f"{endpoint}/deployedModels/{id_}")
        left = [one for one in self._deployed(endpoint) if one.outputs["id"] != id_]
        split = body.get("trafficSplit") or self._split(endpoint)
        if not left:
            split = {}
        elif split.get(id_):
            others = _listed(one.outputs["id"] for one in left)
            raise _precondition(
                f"{id_} can't be undeployed from {endpoint}: it answers {split[id_]}% of the requests; "
                f"give that to {others} first"
            )
        self._divide(record, {one: percent for one, percent in split.items() if one != id_}, left)
        self.store.remove(gone.key)
        return {"@type": f"{_ANSWERS}UndeployModelResponse"}

    # What is there

    def _record(self, type_: str, id_: str) -> Record | None:
        return self.store.get((type_, "", id_))

    def _needed(self, type_: str, id_: str) -> Record:
        if (record := self._record(type_, id_)) is None:
            raise _missing(id_ or "the model, which wasn't named,")
        return record

    def _exists(self, path: str, identifier: str) -> None:
        if not self.store.identified_by(self.cloud.normal(identifier)):
            raise _missing(f"{path}: `{identifier}`")

    def _deployed(self, endpoint: str) -> list[Record]:
        return [one for one in self.store.find(DEPLOYED_MODEL) if one.outputs["endpoint"] == endpoint]

    def _users(self, record: Record) -> list[Record]:
        found = (self.store.get(key) for key in self.store.users_of(record.key) if key[0] == DEPLOYED_MODEL)
        return [one for one in found if one]

    def _write(self, record: Record, outputs: Answer) -> None:
        self.store.write_outputs(replace(record, outputs=outputs))


_HANDLERS: Mapping[str, Callable[[VertexAi, str, Answer, set[str]], Answer]] = {
    "models.upload": VertexAi._upload,
    "models.get": VertexAi._get_model,
    "models.patch": VertexAi._patch_model,
    "models.delete": VertexAi._delete_model,
    "endpoints.get": VertexAi._get_endpoint,
    "endpoints.patch": VertexAi._patch_endpoint,
    "endpoints.deployModel": VertexAi._deploy,
    "endpoints.mutateDeployedModel": VertexAi._mutate,
    "endpoints.undeployModel": VertexAi._undeploy,
}


def service_attachment(endpoint: str) -> str:
    """Where a private endpoint is reached, in a project of Google's, as its page shows it.

    https://cloud.google.com/vertex-ai/docs/predictions/private-service-connect
    """
    digits = hashlib.sha256(endpoint.encode()).hexdigest()
    return f"projects/{digits[:17]}-tp/regions/{_place(endpoint)}/serviceAttachments/gkedpm-{digits[17:47]}"


def _place(name: str) -> str:
    found = _LOCATION.fullmatch(name)
    return found[1] if found else ""


def _paths(mask: str) -> set[str]:
    return {path for path in mask.split(",") if path}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
