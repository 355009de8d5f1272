"""The serving layer on Google Cloud: endpoints of Vertex AI, router, tenants' API, processor of events, batch."""

import base64
import json

import pytest
from ml_blueprints.errors import BlueprintError
from tests.components.test_conformance import PATTERNS

KEY = "projects/security/locations/europe-west1/keyRings/ml/cryptoKeys/data"
SERVICE = "gcp:cloudrunv2/service:Service"
INVOKER = "gcp:cloudrunv2/serviceIamMember:ServiceIamMember"
SUBSCRIPTION = "gcp:pubsub/subscription:Subscription"
TOPIC = "gcp:pubsub/topic:Topic"
WORKFLOW = "gcp:workflows/workflow:Workflow"
JOB = "gcp:cloudscheduler/job:Job"
ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"
ALARM = "gcp:monitoring/alertPolicy:AlertPolicy"
ENDPOINT_MEMBER = "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember"
MODEL = "pulumi-python:dynamic/ml_blueprints:VertexModel"
DEPLOYMENT = "pulumi-python:dynamic/ml_blueprints:VertexDeployment"
TRAFFIC = "pulumi-python:dynamic/ml_blueprints:VertexTraffic"


def environment(service) -> dict[str, str]:
    (container,) = service.inputs["template"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["envs"]}


def table(model) -> dict:
    """The routing table of a container on Vertex AI."""
    return json.loads(model.inputs["container"]["environment"]["ML_BLUEPRINTS_ROUTING"])


def roles(model) -> list[tuple[str, str, float]]:
    return [(one["version"], one["role"], one["traffic"]) for one in table(model)["models"]]


@pytest.fixture
def pattern(once):
    """The platform of one of the patterns that all clouds have."""

    def get(name):
        workload, changes, settings = PATTERNS[name]
        return once(workload, changes, **settings)

    return get


def test_the_processor_is_private_encrypted_and_under_its_identity(house, named):
    service, identity = named(house, SERVICE, "fraud-detection-processor").inputs, "ingest"
    template = service["template"]
    assert service["ingress"] == "INGRESS_TRAFFIC_INTERNAL_ONLY"
    assert service["invokerIamDisabled"] is False
    assert service["binaryAuthorization"] == {"useDefault": True}
    assert template["encryptionKey"] == KEY
    assert template["serviceAccount"] == f"{identity}@house.iam"
    assert template["vpcAccess"] == {
        "egress": "ALL_TRAFFIC",
        "networkInterfaces": [
            {
                "network": "projects/network/global/networks/shared",
                "subnetwork": "projects/network/regions/europe-west1/subnetworks/services",
            }
        ],
    }


def test_the_endpoint_is_private_asks_who_calls_and_is_encrypted(house, named):
    endpoint = named(house, ENDPOINT, "fraud-detection-endpoint").inputs
    assert endpoint["privateServiceConnectConfig"] == {
        "enablePrivateServiceConnect": True,
        "enableSecurePrivateServiceConnect": True,
        "projectAllowlists": ["ml-blueprints-dev"],
    }
    assert endpoint["encryptionSpec"] == {"kmsKeyName": KEY}
    assert endpoint.get("dedicatedEndpointEnabled") is None
    assert {model.inputs["encryption_key"] for model in house.of_type(MODEL)} == {KEY}


def test_the_network_reaches_the_endpoint_by_its_own_name_and_address(streaming, named):
    entry = named(streaming, "gcp:compute/forwardingRule:ForwardingRule", "fraud-detection-endpoint").inputs
    address = named(streaming, "gcp:compute/address:Address", "fraud-detection-endpoint")
    assert "/serviceAttachments/" in entry["target"]
    assert (entry["ipAddress"], entry["loadBalancingScheme"]) == (address.id, "")
    assert address.inputs["addressType"] == "INTERNAL"
    number = named(streaming, ENDPOINT, "fraud-detection-endpoint").inputs["name"]
    zone = named(streaming, "gcp:dns/managedZone:ManagedZone", "fraud-detection-endpoint").inputs
    assert zone["dnsName"].startswith(f"{number}-europe-west1-")
    assert zone["dnsName"].endswith(".prediction.p.vertexai.goog.")
    assert zone["visibility"] == "private"
    out = named(streaming, "gcp:compute/firewall:Firewall", "fraud-detection-allow-endpoint").inputs
    assert (out["direction"], out["allows"]) == ("EGRESS", [{"protocol": "tcp", "ports": ["443"]}])


def test_an_organisations_own_network_is_its_own_to_open(house):
    assert not house.of_type("gcp:compute/firewall:Firewall")


def test_machines_scale_between_the_workloads_bounds_by_what_was_measured(streaming):
    (deployment,) = streaming.of_type(DEPLOYMENT)
    sizing = streaming.platform.context.sizing
    machines = deployment.inputs["machines"]
    assert (machines["type"], machines["minimum"], machines["maximum"]) == (sizing.instance.type, 2, 8)
    a_minute = machines["targets"]["aiplatform.googleapis.com/prediction/online/request_count"]
    assert a_minute == round(sizing.instance.requests_per_second * sizing.load * 60)
    assert machines["spot"] is False


def test_models_are_deployed_under_the_serving_identity_which_reads_the_lake_first(house):
    (deployment,) = house.of_type(DEPLOYMENT)
    assert deployment.inputs["service_account"] == "serving@house.iam"
    assert any("fraud-detection-serving-models" in urn for urn in deployment.depends_on)


def test_the_champions_container_makes_the_copies_for_the_shadow(streaming):
    (model,) = streaming.of_type(MODEL)
    assert [role for _, role, _ in roles(model)] == ["champion", "shadow"]
    told = model.inputs["container"]["environment"]
    assert "fraud-detection-models" in told["MODELS"]
    assert told["CAPTURED"].endswith("/captured")
    # What is asked there has its features with it, and whoever asks has been let in by IAM.
    assert not {"FEATURE_STORE", "TOKEN_KEYS"} & set(told)
    assert told["BEHIND_ROUTER"] == "1"


def test_vertex_divides_and_each_container_answers_all_that_it_gets(hybrid, named):
    assert [roles(model) for model in hybrid.of_type(MODEL) if "-endpoint-grad" in model.name] == [
        [("4.0.0", "champion", 100)],
        [("4.1.0", "champion", 100)],
    ]
    traffic = named(hybrid, TRAFFIC, "delivery-eta-endpoint").inputs
    assert [share["percent"] for share in traffic["shares"]] == [95, 5]
    deployed = {deployment.name: deployment.id.rpartition("/")[2] for deployment in hybrid.of_type(DEPLOYMENT)}
    assert [share["deployed"] for share in traffic["shares"]] == [
        deployed["delivery-eta-endpoint-gradient-boosting-4-0-0"],
        deployed["delivery-eta-endpoint-gradient-boosting-4-1-0"],
    ]


def test_a_canary_that_fails_gives_the_champion_all_requests(hybrid, named):
    workflow = named(hybrid, WORKFLOW, "delivery-eta-rollback").inputs
    listed = json.loads(workflow["sourceContents"])["main"]["steps"]
    steps = {name: step for one in listed for name, step in one.items()}
    champion = named(hybrid, DEPLOYMENT, "delivery-eta-endpoint-gradient-boosting-4-0-0").id
    args = steps["divide"]["try"]["args"]
    assert args["url"].endswith(champion.partition("/deployedModels/")[0])
    assert args["query"] == {"updateMask": "trafficSplit"}
    assert args["body"] == {"trafficSplit": {champion.rpartition("/")[2]: 100}}
    assert steps["judge"]["switch"][0] == {"condition": '${incident.state == "open"}', "next": "divide"}
    alert = named(hybrid, ALARM, "delivery-eta-rollback-gradient-boosting-4-1-0").inputs
    canary = named(hybrid, DEPLOYMENT, "delivery-eta-endpoint-gradient-boosting-4-1-0").id.rpartition("/")[2]
    conditions = [one["conditionThreshold"]["filter"] for one in alert["conditions"]]
    assert len(conditions) == 2
    assert all(f'metric.labels.deployed_model_id="{canary}"' in filter_ for filter_ in conditions)
    channel = named(hybrid, "gcp:monitoring/notificationChannel:NotificationChannel", "delivery-eta-rollback")
    topic = named(hybrid, TOPIC, "delivery-eta-rollback")
    assert alert["notificationChannels"] == [channel.id]
    assert channel.inputs["labels"] == {"topic": topic.id}


def test_whoever_rolls_back_may_divide_this_endpoint_and_nothing_else(hybrid_house, named):
    grant = named(hybrid_house, ENDPOINT_MEMBER, "delivery-eta-rollback").inputs
    assert grant["member"] == "serviceAccount:monitoring@house.iam"
    role = named(hybrid_house, "gcp:projects/iAMCustomRole:IAMCustomRole", "delivery-eta-rollback").inputs
    assert role["permissions"] == ["aiplatform.endpoints.get", "aiplatform.endpoints.update"]


def test_the_router_reads_features_and_asks_each_tenants_endpoint(hybrid, named):
    told = environment(named(hybrid, SERVICE, "delivery-eta-router"))
    (dedicated,) = (name for name in hybrid.platform.serving.dedicated)
    number = named(hybrid, ENDPOINT, f"delivery-eta-endpoint-{dedicated}").inputs["name"]
    own = told[f"SCORING_ENDPOINT_{dedicated.upper().replace('-', '_')}"]
    assert own.startswith(f"https://{number}-europe-west1-")
    assert own.endswith(f"/endpoints/{number}:predict")
    assert told["SCORING_ENDPOINT"] != own
    (view,) = hybrid.of_type("gcp:vertex/aiFeatureOnlineStoreFeatureview:AiFeatureOnlineStoreFeatureview")
    assert told["FEATURE_STORE"] == view.id
    assert told["TENANT_FROM"] == "gateway"
    # It loads no models.
    assert "MODELS" not in told


def test_only_who_asks_may_ask_an_endpoint(hybrid_house, house):
    def granted(built):
        found = [one for one in built.of_type(ENDPOINT_MEMBER) if "rollback" not in one.name]
        return {(one.name, one.inputs["member"]) for one in found}

    (dedicated,) = hybrid_house.platform.serving.dedicated
    serving, ingest = "serviceAccount:serving@house.iam", "serviceAccount:ingest@house.iam"
    assert granted(hybrid_house) == {("delivery-eta-router", serving), (f"delivery-eta-router-{dedicated}", serving)}
    assert granted(house) == {("fraud-detection-ingest", ingest)}
    role = house.named("gcp:projects/iAMCustomRole:IAMCustomRole", "fraud-detection-ingest-predict").inputs
    assert role["permissions"] == ["aiplatform.endpoints.predict"]


def test_tenants_come_in_by_a_gateway_which_checks_token_and_key(hybrid, named):
    config = named(hybrid, "gcp:apigateway/apiConfig:ApiConfig", "delivery-eta-api").inputs
    (document,) = config["openapiDocuments"]
    api = json.loads(base64.b64decode(document["document"]["contents"]))
    token = api["securityDefinitions"]["token"]
    assert token["x-google-issuer"] == "https://login.example.com"
    assert token["x-google-jwks_uri"] == "https://login.example.com/.well-known/jwks.json"
    (operation,) = (one for path in api["paths"].values() for one in path.values())
    assert operation["security"] == [{"token": [], "key": []}]
    assert api["x-google-backend"]["jwt_audience"] == api["x-google-backend"]["address"]
    tenants = hybrid.platform.context.workload.serving.tenants
    (limit,) = api["x-google-management"]["quota"]["limits"]
    assert limit["values"] == {"STANDARD": 60 * sum(tenant.requests_per_second for tenant in tenants)}
    keys = hybrid.of_type("gcp:projects/apiKey:ApiKey")
    assert {key.name for key in keys} == {f"delivery-eta-key-{tenant.name}" for tenant in tenants}
    assert all(key.inputs["restrictions"]["apiTargets"] for key in keys)


def test_only_the_gateway_invokes_what_is_behind_it(hybrid, named):
    router = named(hybrid, SERVICE, "delivery-eta-router").inputs
    assert (router["ingress"], router["invokerIamDisabled"]) == ("INGRESS_TRAFFIC_ALL", False)
    account = named(hybrid, "gcp:serviceaccount/account:Account", "delivery-eta-gateway")
    grant = named(hybrid, INVOKER, "delivery-eta-gateway")
    assert account.id.rpartition("/")[2] in grant.inputs["member"]


def test_tenants_without_an_api_in_public_are_refused_before_anything_is_made(build):
    with pytest.raises(BlueprintError, match=r"public_api.*API Gateway"):
        build("gcp", "delivery_eta", public_api=False)


def test_a_tenant_of_its_own_has_its_models_on_machines_of_its_own(pattern, named):
    built = pattern("ensemble-and-tenant-of-its-own")
    own = named(built, MODEL, "personalization-endpoint-kiosk-kiosk-boosting-1-0-0")
    assert [(model["name"], model["tenant"]) for model in table(own)["models"]] == [("kiosk-boosting", "kiosk")]
    assert table(own)["tenants"]["kiosk"]["namespace"] == "kiosk"
    shared = [model for model in built.of_type(MODEL) if "kiosk" not in model.name]
    assert all(one["name"] != "kiosk-boosting" for model in shared for one in table(model)["models"])


def test_an_ensemble_is_one_container_with_all_its_models(pattern):
    built = pattern("ensemble-and-tenant-of-its-own")
    (shared,) = (model for model in built.of_type(MODEL) if "kiosk" not in model.name)
    assert [(model["name"], model["role"]) for model in table(shared)["models"]] == [
        ("gradient-boosting", "champion"),
        ("linear", "member"),
    ]
    assert table(shared)["ensemble"]["method"] == "cascade"


def test_models_of_tenants_who_share_are_in_each_container_that_takes_a_share(pattern):
    built = pattern("shadow-and-co-hosted-tenant")
    (model,) = built.of_type(MODEL)
    held = [(one["name"], one["role"], one.get("tenant")) for one in table(model)["models"]]
    assert ("kiosk-boosting", "champion", "kiosk") in held
    assert not built.platform.serving.dedicated


def test_what_is_serverless_is_router_and_model_in_one_and_has_no_endpoint(pattern, named):
    built = pattern("serverless-ensemble")
    assert not built.of_type(ENDPOINT)
    told = environment(named(built, SERVICE, "delivery-eta-endpoint"))
    assert {"MODELS", "FEATURE_STORE", "CAPTURED", "TENANT_FROM"} <= set(told)
    template = named(built, SERVICE, "delivery-eta-endpoint").inputs["template"]
    assert template["scaling"] == {"minInstanceCount": 0, "maxInstanceCount": 4}
    assert built.platform.serving.router is built.platform.serving.scorer


def test_events_are_scored_by_a_serverless_service_that_the_processor_may_invoke(pattern, named):
    built = pattern("serverless")
    told = environment(named(built, SERVICE, "fraud-detection-processor"))
    assert "fraud-detection-endpoint" in told["SCORING_ENDPOINT"]
    assert "fraud-detection-ingest" in [grant.name for grant in built.of_type(INVOKER)]


def test_requests_in_a_queue_go_to_the_service_with_a_token_and_are_tried_again(pattern, named):
    built = pattern("asynchronous")
    queue = named(built, "gcp:cloudtasks/queue:Queue", "delivery-eta-requests").inputs
    target = queue["httpTarget"]
    assert target["uriOverride"]["uriOverrideEnforceMode"] == "ALWAYS"
    assert "delivery-eta-endpoint" in target["uriOverride"]["host"]
    assert target["oidcToken"]["audience"] == f"https://{target['uriOverride']['host']}"
    assert queue["retryConfig"]["maxAttempts"] == 20
    assert not built.of_type(ENDPOINT)
    told = environment(named(built, SERVICE, "delivery-eta-endpoint"))
    assert told["ANSWERS"].endswith("/captured/answers")
    service = named(built, SERVICE, "delivery-eta-endpoint").inputs
    assert service["ingress"] == "INGRESS_TRAFFIC_INTERNAL_ONLY"
    assert service["template"]["scaling"]["minInstanceCount"] == 0


def test_events_are_pushed_to_the_processor_with_a_token(house, named):
    push = named(house, SUBSCRIPTION, "fraud-detection-processor").inputs
    assert "fraud-detection-events" in push["topic"]
    token = push["pushConfig"]["oidcToken"]
    assert token["serviceAccountEmail"] == "ingest@house.iam"
    assert token["audience"] == push["pushConfig"]["pushEndpoint"]
    assert "fraud-detection-processor" in push["pushConfig"]["pushEndpoint"]


def test_events_of_an_entity_come_one_after_another(streaming, named):
    assert named(streaming, SUBSCRIPTION, "fraud-detection-processor").inputs["enableMessageOrdering"] is True


def test_events_that_fail_are_tried_again_and_then_become_dead_letters(streaming, named):
    push = named(streaming, SUBSCRIPTION, "fraud-detection-processor").inputs
    assert push["retryPolicy"] == {"minimumBackoff": "1s", "maximumBackoff": "60s"}
    assert "fraud-detection-dead-letters" in push["deadLetterPolicy"]["deadLetterTopic"]
    assert push["deadLetterPolicy"]["maxDeliveryAttempts"] == 20


def test_the_processor_knows_where_windows_features_decisions_and_dead_letters_go(streaming, named):
    told = environment(named(streaming, SERVICE, "fraud-detection-processor"))
    (instance,) = streaming.of_type("gcp:bigtable/instance:Instance")
    table = named(streaming, "gcp:bigquery/table:Table", "fraud-detection-features").inputs
    assert told["WORKLOAD"] == "fraud-detection"
    assert told["STATE"] == f"bigtable://ml-blueprints-dev/{instance.inputs['name']}/windows?app_profile=processor"
    assert told["FEATURE_STORE"] == f"ml-blueprints-dev.{table['datasetId']}.card_activity"
    assert told["SCORING_ENDPOINT"] == f"{_host(streaming, named)}:predict"
    assert told["DECISIONS"] == named(streaming, TOPIC, "fraud-detection-decisions").id
    assert told["DEAD_LETTERS"] == named(streaming, TOPIC, "fraud-detection-dead-letters").id
    assert "ML_BLUEPRINTS_ROUTING" in told
    # It loads no models itself.
    assert "MODELS" not in told


def test_the_processor_has_its_cpu_between_events_where_latency_is_promised(streaming, named):
    (container,) = named(streaming, SERVICE, "fraud-detection-processor").inputs["template"]["containers"]
    assert container["resources"]["cpuIdle"] is False
    assert container["commands"] == ["python", "-m", "ml_pipelines.streaming.cloud_run"]


def test_instances_of_the_processor_follow_the_events_or_the_replicas(streaming, named):
    scaling = named(streaming, SERVICE, "fraud-detection-processor").inputs["template"]["scaling"]
    # 2,000 events a second need four instances; serving may have eight.
    assert scaling == {"minInstanceCount": 2, "maxInstanceCount": 8}


def test_only_ingest_tells_decisions(house, named):
    grant = named(house, "gcp:pubsub/topicIAMMember:TopicIAMMember", "fraud-detection-decisions").inputs
    assert (grant["role"], grant["member"]) == ("roles/pubsub.publisher", "serviceAccount:ingest@house.iam")


def _host(built, named) -> str:
    """Where the endpoint of a platform is asked, up to its method."""
    endpoint = named(built, ENDPOINT, "fraud-detection-endpoint")
    zone = named(built, "gcp:dns/managedZone:ManagedZone", "fraud-detection-endpoint").inputs["dnsName"]
    return f"https://{zone.rstrip('.')}/v1/{endpoint.id}"


def test_only_ingest_invokes_the_processor(house):
    granted = {(grant.name, grant.inputs["role"], grant.inputs["member"]) for grant in house.of_type(INVOKER)}
    assert granted == {("fraud-detection-processor", "roles/run.invoker", "serviceAccount:ingest@house.iam")}


def test_in_hybrid_a_processor_keeps_features_and_scores_nothing(hybrid, named):
    assert [service.name for service in hybrid.of_type(SERVICE)] == ["delivery-eta-processor", "delivery-eta-router"]
    told = environment(named(hybrid, SERVICE, "delivery-eta-processor"))
    assert set(told) == {"WORKLOAD", "STATE", "FEATURE_STORE", "DEAD_LETTERS"}
    assert hybrid.platform.serving.processor is None
    assert hybrid.platform.serving.decision_topic is None
    assert [grant.name for grant in hybrid.of_type(INVOKER)] == ["delivery-eta-gateway", "delivery-eta-processor"]
    assert "delivery-eta-batch" in [workflow.name for workflow in hybrid.of_type(WORKFLOW)]


def test_batch_has_no_service(batch):
    assert not batch.of_type(SERVICE)
    assert batch.platform.serving.url is None


def test_batch_scoring_is_started_on_the_workloads_schedule(hybrid_house, named):
    schedule = named(hybrid_house, JOB, "delivery-eta-batch").inputs
    assert schedule["schedule"] == "15 2 * * *"
    assert schedule["timeZone"] == "Etc/UTC"
    target = schedule["httpTarget"]
    assert target["httpMethod"] == "POST"
    assert target["oauthToken"]["serviceAccountEmail"] == "monitoring@house.iam"
    assert target["uri"].startswith("https://workflowexecutions.googleapis.com/v1/")
    assert target["uri"].endswith("/executions")
    assert "delivery-eta-batch" in target["uri"]


def test_batch_scoring_runs_under_the_serving_identity(hybrid_house, hybrid, named):
    pipeline = named(hybrid_house, WORKFLOW, "delivery-eta-batch").inputs
    assert pipeline["cryptoKeyName"] == KEY
    assert pipeline["serviceAccount"] == "serving@house.iam"
    (start,) = (step["start"] for step in json.loads(pipeline["sourceContents"])["main"]["steps"] if "start" in step)
    body = start["try"]["args"]["body"]
    assert body["serviceAccount"] == "serving@house.iam"
    assert body["encryptionSpec"] == {"kmsKeyName": KEY}
    told = body["runtimeConfig"]["parameterValues"]
    assert told["predictions"].endswith("/predictions")
    assert told["champion"].split("/")[-2] == "gradient-boosting"
    may_act = [grant.name for grant in hybrid.of_type("gcp:serviceaccount/iAMMember:IAMMember")]
    assert "delivery-eta-serving-as-serving" in may_act
    assert "delivery-eta-training-as-serving" not in may_act


def test_serving_reads_events_and_runs_a_pipeline_only_where_it_scores_in_batch(hybrid, streaming):
    def rights(built):
        grants = built.of_type("gcp:bigquery/iamMember:IamMember") + built.of_type("gcp:projects/iAMMember:IAMMember")
        return {grant.name.removeprefix(f"{built.platform.context.name}-") for grant in grants}

    assert {"serving-raw-table", "batch"} <= rights(hybrid)
    assert not {"serving-raw-table", "batch"} & rights(streaming)
