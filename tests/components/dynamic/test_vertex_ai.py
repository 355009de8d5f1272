"""Models, deployments and traffic, by their providers, against the sandbox's Vertex AI: what the engine would ask."""

from typing import Any

import pytest
from ml_blueprints.dynamic.vertex_ai import (
    _DeploymentProvider,
    _ModelProvider,
    _TrafficProvider,
    deployed_id_of,
    model_id_of,
    shared_out,
)
from ml_blueprints.dynamic.vertex_client import Connection, VertexError
from pulumi.dynamic import Config, ConfigureRequest, ResourceProvider
from pulumi.runtime.rpc import UNKNOWN
from sandbox.apis.server import Server
from sandbox.provider.control_plane import ControlPlane, Naming
from sandbox.provider.gcp import Gcp
from sandbox.store import Store

PLACE = "projects/acme-ml/locations/europe-west1"
ENDPOINT = f"{PLACE}/endpoints/4711"
CPU = "aiplatform.googleapis.com/prediction/online/cpu/utilization"
IMAGE = "europe-west1-docker.pkg.dev/acme-ml/images/ml-serving@sha256:0"


class World:
    """A Google Cloud with an endpoint, and the providers as the engine configures them."""

    def __init__(self, server: Server, store: Store):
        self.store = store
        self.models, self.deployments, self.traffic = (
            self.configured(provider, server) for provider in (_ModelProvider, _DeploymentProvider, _TrafficProvider)
        )

    @staticmethod
    def configured(provider: type[ResourceProvider], server: Server) -> Any:
        made = provider()
        made.configure(ConfigureRequest(Config({"gcp:vertexAiCustomEndpoint": server.url}, "acme")))
        return made

    def model(self, owner: str = "acme/dev/eta-1", **container: Any) -> str:
        return self.models.create(model(owner, **container)).outs["resource_name"]

    def deployed(self, name: str = "eta-1", **said: Any) -> Any:
        return self.deployments.create(deployment(self.model(f"acme/dev/{name}"), display_name=name, **said))

    def endpoint(self) -> Any:
        return self.deployments.vertex(ENDPOINT).endpoint(ENDPOINT)


def model(owner: str = "acme/dev/eta-1", **container: Any) -> dict[str, Any]:
    said = {"image": IMAGE, "environment": {"MODELS": "gs://acme/models"}, "predict_route": "/predict"}
    return {
        "project": "acme-ml",
        "location": "europe-west1",
        "owner": owner,
        "container": said | {"health_route": "/health", "port": 8080.0, "command": []} | container,
        "display_name": "eta",
        "description": "",
        "labels": {"role": "champion"},
        "encryption_key": "",
    }


def machines(**changes: Any) -> dict[str, Any]:
    return {"type": "n1-standard-2", "minimum": 1.0, "maximum": 2.0, "targets": {CPU: 60.0}, "spot": False} | changes


def deployment(model: str, **changes: Any) -> dict[str, Any]:
    said = {"endpoint": ENDPOINT, "model": model, "machines": machines(), "display_name": "eta-1"}
    return said | {"service_account": "", "access_logging": False} | changes


def shares(*percents: tuple[str, float]) -> dict[str, Any]:
    return {"endpoint": ENDPOINT, "shares": [{"deployed": one, "percent": percent} for one, percent in percents]}


@pytest.fixture
def world(tmp_path):
    store = Store(tmp_path / "gcp.sqlite")
    cloud = Gcp(store)
    cloud.configuration = {"project": "acme-ml", "region": "europe-west1"}
    plane = ControlPlane(cloud)
    urn = "urn:pulumi:dev::acme::gcp:vertex/aiEndpoint:AiEndpoint::eta"
    inputs, failures = plane.check(
        urn, {}, {"name": "4711", "displayName": "eta", "location": "europe-west1"}, Naming()
    )
    assert not failures
    plane.create(urn, inputs)
    server = Server(tmp_path / "gcp.sqlite")
    yield World(server, store)
    server.close()
    store.close()


def test_a_model_is_uploaded_read_and_deleted(world):
    made = world.models.create(model())
    assert made.id == f"{PLACE}/models/{made.outs['model_id']}" == made.outs["resource_name"]
    read = world.models.read(made.id, made.outs)
    assert read.outs == made.outs
    assert not world.models.diff(made.id, made.outs, model()).changes
    world.models.delete(made.id, made.outs)
    assert world.models.read(made.id, made.outs).id == ""
    # What is gone already is no error.
    world.models.delete(made.id, made.outs)


def test_names_and_labels_of_a_model_change_in_place_and_drift_is_seen(world):
    made = world.models.create(model())
    changed = model() | {"labels": {"role": "canary"}, "description": "new"}
    difference = world.models.diff(made.id, made.outs, changed)
    assert (difference.changes, difference.replaces) == (True, [])
    outs = world.models.update(made.id, made.outs, changed).outs
    assert world.models.read(made.id, made.outs).outs["labels"] == {"role": "canary"}
    assert outs["description"] == "new"
    # As somebody else would have it, after a refresh.
    refreshed = world.models.read(made.id, made.outs)
    assert world.models.diff(made.id, refreshed.outs, model()).changes


def test_another_container_is_another_model_beside_the_old_one(world):
    made = world.models.create(model())
    changed = model(environment={"MODELS": "gs://other"})
    difference = world.models.diff(made.id, made.outs, changed)
    assert difference.replaces == ["container"]
    assert not difference.delete_before_replace
    assert world.models.create(changed).id != made.id


def test_what_a_stopped_run_has_left_is_taken_up(world):
    first, again = world.models.create(model()), world.models.create(model())
    assert first.id == again.id
    said = deployment(first.outs["resource_name"])
    assert world.deployments.create(said).id == world.deployments.create(said).id
    assert len(world.endpoint().deployed_models) == 1


def test_a_deployment_takes_no_traffic_until_it_is_given_some(world):
    made = world.deployed()
    assert not world.endpoint().traffic_split
    traffic = world.traffic.create(shares((made.outs["deployed_id"], 100.0)))
    assert dict(world.endpoint().traffic_split) == {made.outs["deployed_id"]: 100}
    assert world.traffic.read(traffic.id, traffic.outs).outs == traffic.outs
    assert world.deployments.read(made.id, made.outs).outs == made.outs


def test_numbers_of_machines_change_in_place_and_their_type_does_not(world):
    made = world.deployed()
    more = deployment(made.outs["model"], machines=machines(maximum=8.0, targets={CPU: 70.0}))
    difference = world.deployments.diff(made.id, made.outs, more)
    assert (difference.changes, difference.replaces) == (True, [])
    world.deployments.update(made.id, made.outs, more)
    (now,) = world.endpoint().deployed_models
    assert now.dedicated_resources.max_replica_count == 8
    assert [spec.target for spec in now.dedicated_resources.autoscaling_metric_specs] == [70]
    larger = deployment(made.outs["model"], machines=machines(type="n1-standard-8"))
    assert world.deployments.diff(made.id, made.outs, larger).replaces == ["machines"]
    assert deployed_id_of(larger) != made.outs["deployed_id"]
    assert deployed_id_of(more) == made.outs["deployed_id"]


def test_drift_of_machines_and_of_traffic_is_seen_by_a_refresh(world):
    champion, canary = world.deployed(), world.deployed("eta-2")
    ids = [made.outs["deployed_id"] for made in (champion, canary)]
    traffic = world.traffic.create(shares((ids[0], 90.0), (ids[1], 10.0)))
    # Somebody gives the champion all, and it more machines, behind Pulumi's back.
    world.traffic.update(traffic.id, traffic.outs, shares((ids[0], 100.0)))
    more = deployment(champion.outs["model"], machines=machines(maximum=4.0))
    world.deployments.update(champion.id, champion.outs, more)
    found = world.traffic.read(traffic.id, traffic.outs)
    assert found.inputs["shares"] == [{"deployed": ids[0], "percent": 100}]
    assert world.traffic.diff(traffic.id, found.outs, shares((ids[0], 90.0), (ids[1], 10.0))).changes
    found = world.deployments.read(champion.id, champion.outs)
    assert found.inputs["machines"]["maximum"] == 4
    assert world.deployments.diff(champion.id, found.outs, deployment(champion.outs["model"])).changes


def test_what_still_has_traffic_gives_it_to_the_others_before_it_goes(world):
    made = [world.deployed(name) for name in ("eta-1", "eta-2", "eta-3")]
    first, second, third = (one.outs["deployed_id"] for one in made)
    world.traffic.create(shares((first, 60.0), (second, 30.0), (third, 10.0)))
    world.deployments.delete(made[2].id, made[2].outs)
    assert dict(world.endpoint().traffic_split) == {first: 67, second: 33}
    assert {one.id for one in world.endpoint().deployed_models} == {first, second}


def test_what_answers_all_requests_does_not_go_while_others_could_answer(world):
    made = [world.deployed(name) for name in ("eta-1", "eta-2")]
    world.traffic.create(shares((made[0].outs["deployed_id"], 100.0)))
    with pytest.raises(VertexError, match=r"`eta-1` can't be undeployed .* give them its traffic"):
        world.deployments.delete(made[0].id, made[0].outs)
    assert len(world.endpoint().deployed_models) == 2


def test_the_last_one_goes_with_its_traffic(world):
    made = world.deployed()
    traffic = world.traffic.create(shares((made.outs["deployed_id"], 100.0)))
    world.deployments.delete(made.id, made.outs)
    assert not world.endpoint().deployed_models
    assert world.deployments.read(made.id, made.outs).id == ""
    assert world.traffic.read(traffic.id, traffic.outs).id == ""


def test_deleted_traffic_leaves_the_endpoint_without_any(world):
    made = world.deployed()
    traffic = world.traffic.create(shares((made.outs["deployed_id"], 100.0)))
    world.traffic.delete(traffic.id, traffic.outs)
    assert not world.endpoint().traffic_split


def test_a_model_that_is_deployed_is_not_deleted(world):
    made = world.deployed()
    with pytest.raises(VertexError, match=rf"it is deployed on {ENDPOINT}; undeploy it there first"):
        world.models.delete(made.outs["model"], {})


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"machines": machines(type="m5.large")}, "`eta-1` can't be deployed .*`m5.large` is no machine"),
        ({"machines": None, "pool": f"{PLACE}/deploymentResourcePools/none"}, "the pool .*/none is not found"),
        ({"service_account": "nobody@acme-ml.iam.gserviceaccount.com"}, "nobody@acme-ml.* is not found"),
        ({"endpoint": f"{PLACE}/endpoints/1"}, "endpoints/1: there is no such endpoint"),
        ({"model": f"{PLACE}/models/none"}, "models/none is not found"),
    ],
)
def test_what_vertex_refuses_is_said_in_words(world, said, words):
    with pytest.raises(VertexError, match=words):
        world.deployments.create(deployment(world.model()) | said)


@pytest.mark.parametrize(
    ("provider", "said", "words"),
    [
        (_TrafficProvider, shares(("1", 50.0), ("2", 40.0)), "found 50, 40; percents"),
        (_TrafficProvider, shares(("1", 110.0), ("2", -10.0)), "found 110, -10; percents"),
        (_TrafficProvider, shares(("1", 50.0), ("1", 50.0)), "each deployment is named once"),
        (_DeploymentProvider, {"machines": machines(minimum=0.0)}, "found 0 to 2 machines"),
        (_DeploymentProvider, {"machines": machines(minimum=3.0)}, "found 3 to 2 machines"),
        (_ModelProvider, {"location": "europe-west1"}, "the stack has no `gcp:project`"),
    ],
)
def test_what_is_wrong_in_itself_is_said_before_anything_is_asked(provider, said, words):
    failures = provider().check({}, said).failures
    assert [words in failure.reason for failure in failures] == [True]


def test_what_is_not_known_yet_is_not_wrong():
    said = {
        "endpoint": UNKNOWN,
        "shares": [{"deployed": UNKNOWN, "percent": 95.0}, {"deployed": UNKNOWN, "percent": 5.0}],
    }
    assert not _TrafficProvider().check({}, said).failures
    assert not _DeploymentProvider().check({}, {"machines": UNKNOWN}).failures


def test_ids_are_as_vertex_takes_them():
    assert len(model_id_of(model(f"acme/dev/{'9' * 80}"))) <= 63
    assert model_id_of(model("acme/dev/9-Eta_1"))[0].isalpha()
    assert model_id_of(model("acme/dev/eta")) != model_id_of(model("acme/production/eta"))
    assert len(deployed_id_of(deployment("m"))) == 10
    # The engine's numbers have a point, the program's don't.
    assert model_id_of(model(port=8080.0)) == model_id_of(model(port=8080))


@pytest.mark.parametrize(
    ("split", "shared"),
    [({"1": 60, "2": 30}, {"1": 67, "2": 33}), ({"1": 0, "2": 5}, {"2": 100}), ({"1": 0}, {}), ({}, {})],
)
def test_shares_are_scaled_to_a_hundred(split, shared):
    assert shared_out(split) == shared


def test_the_providers_own_setting_says_where_vertex_is_before_its_variable():
    told = Connection.of(Config({"gcp:vertexAiCustomEndpoint": "https://a.example.com/v1/"}, "acme"), {})
    assert told.host("europe-west1") == "https://a.example.com"
    variables = {"GOOGLE_VERTEX_AI_CUSTOM_ENDPOINT": "http://127.0.0.1:8080/v1/"}
    assert Connection.of(Config({}, "acme"), variables).host("europe-west1") == "http://127.0.0.1:8080"
    assert (
        Connection.of(Config({}, "acme"), {}).host("europe-west1") == "https://europe-west1-aiplatform.googleapis.com"
    )


@pytest.mark.parametrize("endpoint", ["127.0.0.1:8080", "https://a.example.com/v1beta1/", "ftp://a.example.com/v1/"])
def test_an_endpoint_that_is_not_the_api_is_refused(endpoint):
    with pytest.raises(VertexError, match="vertexAiCustomEndpoint: found"):
        Connection(endpoint).host("europe-west1")


def test_nothing_of_the_users_credentials_goes_where_nothing_is_encrypted():
    found = Connection("http://127.0.0.1:1/v1/", token="secret").credentials_for("http://127.0.0.1:1")
    assert getattr(found, "token", None) is None
    assert Connection(token="secret").credentials_for("https://x").token == "secret"
