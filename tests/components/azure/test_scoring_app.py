"""Container apps that answer requests on Azure: the router, and models without instances that wait."""

import json

import pytest

APP = "azure-native:app:ContainerApp"
AUTH = "azure-native:app:ContainerAppsAuthConfig"
ML = "azure-native:machinelearningservices"
AT_REST = {"scale_to_zero": True, "replicas": {"minimum": 0, "maximum": 4}}
CHAMPION = [{"name": "gradient-boosting", "version": "4.0.0", "role": "champion", "traffic": 100}]


def app(built, part: str):
    return built.named(APP, f"{built.platform.context.name}-{part}")


def told(found) -> dict[str, str]:
    (container,) = found.inputs["template"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"]}


def replicas(found) -> tuple[int, int]:
    scale = found.inputs["template"]["scale"]
    return scale["minReplicas"], scale["maxReplicas"]


@pytest.fixture
def serverless(once):
    """Delivery times from a container app, for one tenant."""
    tenants = [{"name": "orders", "requests_per_second": 5}]
    serving = {"inference": "serverless", "size": "medium", "tenants": tenants, **AT_REST}
    return once("delivery_eta", {"models": CHAMPION, "serving": serving}, environment="staging")


@pytest.fixture
def events_without_instances(once):
    models = [{"name": "gradient-boosting", "version": "1.2.0", "role": "champion", "traffic": 100}]
    serving = {"inference": "serverless", "size": "small", **AT_REST}
    return once("fraud_detection", {"models": models, "serving": serving}, environment="staging")


def test_the_router_asks_the_endpoints_and_tenants_with_their_own_have_theirs(hybrid):
    known = told(app(hybrid, "router"))
    token = hybrid.platform.context.token
    assert known["SCORING_ENDPOINT"] == f"https://delivery-eta-{token}.westeurope.inference.ml.azure.com/score"
    assert known["SCORING_ENDPOINT_PARTNERS"] == f"https://partners-{token}.westeurope.inference.ml.azure.com/score"
    assert known["FEATURE_STORE"].startswith("rediss://")
    assert known["TOKEN_CLAIM"] == "tenant"
    assert "MODELS" not in known
    assert json.loads(known["ML_BLUEPRINTS_ROUTING"])["tenants"].keys() == {"orders", "partners"}


def test_the_routers_identity_asks_and_reads_and_does_nothing_else(hybrid, identity, granted, waits_for):
    router = app(hybrid, "router")
    assert router.inputs["identity"]["userAssignedIdentities"] == [identity(hybrid, "router")]
    assert granted(hybrid, "router") == {
        ("AcrPull", "Registry images"),
        ("score", "OnlineEndpoint endpoint"),
        ("score", "OnlineEndpoint partners-endpoint"),
    }
    assert {"AccessPolicyAssignment router-online", "RoleAssignment router-all"} <= waits_for(hybrid, router)


def test_what_is_behind_the_router_is_told_so_and_reads_no_features(hybrid):
    for deployment in hybrid.of_type(f"{ML}:OnlineDeployment"):
        known = deployment.inputs["properties"]["environmentVariables"]
        assert known["BEHIND_ROUTER"] == "1"
        assert "FEATURE_STORE" not in known
        assert not [name for name in known if name.startswith("TOKEN_")]


def test_an_app_is_found_in_the_network_by_tls_alone_and_is_ready_before_it_is_asked(hybrid):
    router = app(hybrid, "router").inputs
    assert router["configuration"]["ingress"]["allowInsecure"] is False
    assert router["configuration"]["activeRevisionsMode"] == "Single"
    (environment,) = hybrid.of_type("azure-native:app:ManagedEnvironment")
    assert environment.inputs["vnetConfiguration"]["internal"] is True
    (container,) = router["template"]["containers"]
    probes = {probe["type"]: probe["httpGet"]["path"] for probe in container["probes"]}
    assert probes == {"Readiness": "/health", "Startup": "/health", "Liveness": "/live"}
    assert container["command"] == ["python", "-m", "ml_pipelines.serving"]


def test_the_platforms_apps_are_found_by_name_in_its_network(hybrid, named):
    record = named(hybrid, "azure-native:privatedns:PrivateRecordSet", "delivery-eta-apps-hosts").inputs
    assert (record["recordType"], record["relativeRecordSetName"]) == ("A", "*")


def test_serverless_is_router_and_models_in_one_without_an_endpoint_of_the_platform(serverless, identity):
    assert not serverless.of_type(f"{ML}:OnlineEndpoint")
    known = told(app(serverless, "router"))
    lake = "dfs.core.windows.net/"
    assert known["MODELS"].startswith("abfss://models@lake")
    assert known["MODELS"].endswith(lake)
    assert not [name for name in known if name.startswith("SCORING_ENDPOINT")]
    assert known["TOKEN_ISSUER"]
    assert app(serverless, "router").inputs["identity"]["userAssignedIdentities"] == [identity(serverless, "serving")]
    (container,) = app(serverless, "router").inputs["template"]["containers"]
    assert container["resources"] == {"cpu": 4, "memory": "8Gi"}


def test_without_requests_and_events_no_replica_is_there(serverless, events_without_instances):
    assert replicas(app(serverless, "router")) == (0, 4)
    assert replicas(app(events_without_instances, "scorer")) == (0, 4)
    assert replicas(app(events_without_instances, "processor")) == (0, 4)
    rule = app(serverless, "router").inputs["template"]["scale"]["rules"][0]
    assert rule["http"]["metadata"] == {"concurrentRequests": "64"}


def test_events_are_scored_by_an_app_that_other_apps_alone_find(events_without_instances):
    built = events_without_instances
    scorer = app(built, "scorer")
    assert scorer.inputs["configuration"]["ingress"]["external"] is False
    assert not built.of_type(AUTH)
    assert ".internal." in told(app(built, "processor"))["SCORING_ENDPOINT"]
    assert told(scorer)["BEHIND_ROUTER"] == "1"


def test_without_tenants_the_router_takes_the_organisations_tokens(once):
    built = once("delivery_eta", {"serving": {"tenants": [], "size": "small"}})
    (authorisation,) = built.of_type(AUTH)
    entra = authorisation.inputs["identityProviders"]["azureActiveDirectory"]
    assert "defaultAuthorizationPolicy" not in entra["validation"]
    assert entra["registration"]["openIdIssuer"].startswith("https://sts.windows.net/")
    assert app(built, "router").inputs["configuration"]["ingress"]["external"] is True
