"""The sandbox's Vertex AI: requests in Google's own form, and what the service refuses."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from sandbox.apis.discovery import api
from sandbox.apis.server import Server
from sandbox.provider.cloud import CloudError

PLACE = "projects/acme-ml/locations/europe-west1"
ENDPOINT = f"{PLACE}/endpoints/4711"
IMAGE = "europe-west1-docker.pkg.dev/acme-ml/images/serving:1"
GOOGLES = "europe-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
DEDICATED = {"machineSpec": {"machineType": "n1-standard-2"}, "minReplicaCount": 1, "maxReplicaCount": 2}


class Asked:
    """A server, asked as any client asks it."""

    def __init__(self, server: Server):
        self.url = server.url

    def __call__(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, method=method)  # noqa: S310 (the server's own)
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return json.load(response)

    def done(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """What an operation gives in the end."""
        started = self(method, path, body)
        assert started["done"] is False
        ended = self("GET", started["name"])
        assert ended["done"] is True
        return ended["response"]

    def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            self(method, path, body)
        error = json.load(caught.value)["error"]
        return caught.value.code, error["status"], error["message"]

    def model(self, name: str = "eta", image: str = IMAGE) -> str:
        model = {"displayName": name, "containerSpec": {"imageUri": image}}
        return self.done("POST", f"{PLACE}/models:upload", {"modelId": name, "model": model})["model"]

    def deploy(self, id_: str, model: str, **said: Any) -> dict[str, Any]:
        deployed = {"id": id_, "model": model, "dedicatedResources": DEDICATED} | said
        return self.done("POST", f"{ENDPOINT}:deployModel", {"deployedModel": deployed})

    def divide(self, **split: int) -> dict[str, Any]:
        named = {id_.removeprefix("d"): percent for id_, percent in split.items()}
        return self("PATCH", f"{ENDPOINT}?updateMask=trafficSplit", {"trafficSplit": named})


@pytest.fixture
def endpoint(gcp):
    """The endpoint, as the provider makes it."""
    properties = {"name": "4711", "displayName": "eta", "location": "europe-west1"}
    private = {"privateServiceConnectConfig": {"enablePrivateServiceConnect": True}}
    return gcp.make("gcp:vertex/aiEndpoint:AiEndpoint", properties | private)


@pytest.fixture
def asked(gcp, endpoint):
    server = Server(gcp.store._path)
    yield Asked(server)
    server.close()


def test_a_model_is_uploaded_deployed_divided_and_undeployed(asked, gcp, endpoint):
    model = asked.model()
    assert asked("GET", model)["versionId"] == "1"
    assert asked("GET", ENDPOINT)["trafficSplit"] == {}
    assert "serviceAttachment" not in asked("GET", ENDPOINT)["privateServiceConnectConfig"]
    asked.deploy("1", model)
    assert asked.divide(d1=100)["trafficSplit"] == {"1": 100}
    found = asked("GET", ENDPOINT)
    assert [one["id"] for one in found["deployedModels"]] == ["1"]
    assert "/serviceAttachments/" in found["privateServiceConnectConfig"]["serviceAttachment"]
    assert asked("GET", model)["deployedModels"] == [{"endpoint": ENDPOINT, "deployedModelId": "1"}]
    # The provider sees it as well when it looks again.
    assert json.loads(gcp.plane.read(endpoint.type, endpoint.id, endpoint.outputs).outputs["trafficSplit"]) == {
        "1": 100
    }
    asked.done("POST", f"{ENDPOINT}:undeployModel", {"deployedModelId": "1"})
    assert asked("GET", ENDPOINT)["trafficSplit"] == {}
    asked.done("DELETE", model)
    assert asked.refused("GET", model)[:2] == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "model: is missing, and required"),
        ({"model": {"displayName": "x", "colour": "red"}}, "model.colour: there is no such field"),
        ({"model": {"displayName": 7}}, "model.displayName: found `7`; a text is right"),
        ({"model": {"containerSpec": {"imageUri": IMAGE}}}, "model.displayName: is missing, and required"),
        ({"model": {"displayName": "x", "containerSpec": {}}}, "containerSpec.imageUri: is missing, and required"),
        ({"model": {"displayName": "x", "labels": ["a"]}}, 'model.labels: found `["a"]`; an object is right'),
        ({"modelId": "9-Eta", "model": {"displayName": "x"}}, "modelId: found `9-Eta`"),
        (
            {"model": {"displayName": "x", "containerSpec": {"imageUri": "docker.io/a"}}},
            "an image in Artifact Registry",
        ),
    ],
)
def test_a_request_that_is_not_as_google_describes_it_is_refused(asked, body, words):
    status, code, message = asked.refused("POST", f"{PLACE}/models:upload", body)
    assert (status, code) == (400, "INVALID_ARGUMENT")
    assert words in message


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"id": "one"}, "1 to 10 digits"),
        ({"dedicatedResources": DEDICATED | {"minReplicaCount": 3}}, "3 to 2 replicas"),
        ({"dedicatedResources": DEDICATED | {"machineSpec": {"machineType": "ml.m5.large"}}}, "no machine of online"),
        ({"dedicatedResources": DEDICATED | {"machineSpec": {"acceleratorType": "TPU_V9"}}}, "one of NVIDIA_TESLA_K80"),
        (
            {"dedicatedResources": DEDICATED | {"autoscalingMetricSpecs": [{"metricName": "cpu"}]}},
            "`cpu` is none of aiplatform.googleapis.com/prediction/online/accelerator/duty_cycle",
        ),
        ({"sharedResources": f"{PLACE}/deploymentResourcePools/p"}, "found dedicatedResources and sharedResources"),
        ({"dedicatedResources": None}, "an object is right"),
    ],
)
def test_a_deployment_that_vertex_does_not_take_is_refused(asked, said, words):
    deployed = {"id": "1", "model": asked.model(), "dedicatedResources": DEDICATED} | said
    status, code, message = asked.refused("POST", f"{ENDPOINT}:deployModel", {"deployedModel": deployed})
    assert (status, code) == (400, "INVALID_ARGUMENT")
    assert words in message


def test_a_pool_has_to_be_there_and_takes_googles_containers_only(asked, gcp):
    name = "pool"
    pool = f"{PLACE}/deploymentResourcePools/{name}"
    deployed = {"id": "1", "model": asked.model(), "sharedResources": pool}
    assert asked.refused("POST", f"{ENDPOINT}:deployModel", {"deployedModel": deployed})[:2] == (404, "NOT_FOUND")
    made = gcp.make(
        "gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool", {"name": name, "region": "europe-west1"}
    )
    assert made.id == pool
    status, code, message = asked.refused("POST", f"{ENDPOINT}:deployModel", {"deployedModel": deployed})
    assert (status, code) == (400, "FAILED_PRECONDITION")
    assert "Google's own containers" in message
    asked.done("POST", f"{ENDPOINT}:deployModel", {"deployedModel": deployed | {"model": asked.model("tf", GOOGLES)}})
    with pytest.raises(CloudError, match="in use by"):
        gcp.delete(made)


@pytest.mark.parametrize(
    ("split", "words"),
    [({"1": 60, "2": 30}, "add up to 100"), ({"1": 50, "9": 50}, "9 isn't deployed"), ({"1": 120, "2": -20}, "add up")],
)
def test_traffic_that_does_not_add_up_or_names_what_is_not_there_is_refused(asked, split, words):
    model = asked.model()
    asked.deploy("1", model)
    asked.deploy("2", model)
    message = asked.refused("PATCH", f"{ENDPOINT}?updateMask=trafficSplit", {"trafficSplit": split})[2]
    assert words in message


def test_each_wrong_order_is_refused(asked, gcp, endpoint):
    model = asked.model()
    asked.deploy("1", model)
    asked.deploy("2", model)
    asked.divide(d1=95, d2=5)
    status, code, message = asked.refused("POST", f"{ENDPOINT}:undeployModel", {"deployedModelId": "2"})
    assert (status, code) == (400, "FAILED_PRECONDITION")
    assert "it answers 5% of the requests; give that to 1 first" in message
    assert asked.refused("DELETE", model)[1] == "FAILED_PRECONDITION"
    with pytest.raises(CloudError, match="in use by"):
        gcp.delete(endpoint)
    asked.divide(d1=100)
    asked.done("POST", f"{ENDPOINT}:undeployModel", {"deployedModelId": "2"})
    asked.done("POST", f"{ENDPOINT}:undeployModel", {"deployedModelId": "1"})
    asked.done("DELETE", model)
    gcp.delete(endpoint)


def test_only_numbers_of_replicas_and_their_targets_can_be_changed(asked):
    asked.deploy("1", asked.model())
    more = {"id": "1", "dedicatedResources": DEDICATED | {"maxReplicaCount": 8}}
    body = {"deployedModel": more, "updateMask": "dedicatedResources.maxReplicaCount"}
    changed = asked.done("POST", f"{ENDPOINT}:mutateDeployedModel", body)["deployedModel"]
    assert changed["dedicatedResources"]["maxReplicaCount"] == 8
    body["updateMask"] = "dedicatedResources.machineSpec"
    assert "can't be changed" in asked.refused("POST", f"{ENDPOINT}:mutateDeployedModel", body)[2]


def test_what_the_sandbox_does_not_serve_is_told_apart_from_what_google_does_not_have(asked):
    assert asked.refused("POST", f"{ENDPOINT}:predict", {"instances": [1]})[:2] == (501, "UNIMPLEMENTED")
    assert asked.refused("POST", f"{PLACE}/nothing:atAll", {})[:2] == (404, "NOT_FOUND")
    assert asked.refused("GET", f"{ENDPOINT}/operations/1")[:2] == (404, "NOT_FOUND")


def test_a_planned_fault_is_met(asked, gcp):
    gcp.store.add_fault("fail-create", "aiplatform.googleapis.com/Model", 1)
    body = {"model": {"displayName": "x", "containerSpec": {"imageUri": IMAGE}}}
    status, code, message = asked.refused("POST", f"{PLACE}/models:upload", body)
    assert (status, code) == (503, "UNAVAILABLE")
    assert "this fault was planned" in message


def test_methods_are_those_of_googles_description():
    found = api("aiplatform", "v1").find("POST", f"/v1/{ENDPOINT}:deployModel")
    assert found is not None
    method, name = found
    assert (method.id, name) == ("aiplatform.projects.locations.endpoints.deployModel", ENDPOINT)
    assert api("aiplatform", "v1").find("GET", f"/v1/{ENDPOINT}:deployModel") is None
