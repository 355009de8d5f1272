"""The serving layer on Google Cloud: the scoring service, the processor of events, scheduled batch."""

import json

import pytest

KEY = "projects/security/locations/europe-west1/keyRings/ml/cryptoKeys/data"
SERVICE = "gcp:cloudrunv2/service:Service"
INVOKER = "gcp:cloudrunv2/serviceIamMember:ServiceIamMember"
SUBSCRIPTION = "gcp:pubsub/subscription:Subscription"
TOPIC = "gcp:pubsub/topic:Topic"
WORKFLOW = "gcp:workflows/workflow:Workflow"
JOB = "gcp:cloudscheduler/job:Job"


def environment(service) -> dict[str, str]:
    (container,) = service.inputs["template"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["envs"]}


@pytest.mark.parametrize(("part", "identity"), [("endpoint", "serving"), ("processor", "ingest")])
def test_services_are_private_encrypted_and_under_their_identity(house, named, part, identity):
    service = named(house, SERVICE, f"fraud-detection-{part}").inputs
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


def test_the_endpoint_scales_between_the_workloads_bounds(streaming, named):
    template = named(streaming, SERVICE, "fraud-detection-endpoint").inputs["template"]
    assert template["scaling"] == {"minInstanceCount": 2, "maxInstanceCount": 8}
    (container,) = template["containers"]
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "4Gi"}


def test_the_endpoint_knows_the_shadow_and_its_share(streaming, named):
    told = environment(named(streaming, SERVICE, "fraud-detection-endpoint"))
    models = json.loads(told["ML_BLUEPRINTS_ROUTING"])["models"]
    assert [(model["name"], model["role"], model["traffic"]) for model in models] == [
        ("gradient-boosting", "champion", 100),
        ("sequence-network", "shadow", 20),
    ]
    assert "fraud-detection-models" in told["MODELS"]
    assert told["CAPTURED"].endswith("/captured")
    (view,) = streaming.of_type("gcp:vertex/aiFeatureOnlineStoreFeatureview:AiFeatureOnlineStoreFeatureview")
    assert told["FEATURE_STORE"] == view.id


def test_the_endpoint_knows_the_canary_and_its_share(hybrid, named):
    told = environment(named(hybrid, SERVICE, "delivery-eta-endpoint"))
    models = json.loads(told["ML_BLUEPRINTS_ROUTING"])["models"]
    assert [(model["version"], model["role"], model["traffic"]) for model in models] == [
        ("4.0.0", "champion", 95),
        ("4.1.0", "canary", 5),
    ]


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
    assert "fraud-detection-endpoint" in told["SCORING_ENDPOINT"]
    assert told["DECISIONS"] == named(streaming, TOPIC, "fraud-detection-decisions").id
    assert told["DEAD_LETTERS"] == named(streaming, TOPIC, "fraud-detection-dead-letters").id
    assert "ML_BLUEPRINTS_ROUTING" in told
    # It loads no models itself.
    assert "MODELS" not in told


def test_the_processor_has_its_cpu_between_events_where_latency_is_promised(streaming, named):
    (container,) = named(streaming, SERVICE, "fraud-detection-processor").inputs["template"]["containers"]
    assert container["resources"]["cpuIdle"] is False
    assert container["commands"] == ["python", "-m", "ml_pipelines.streaming.cloud_run"]
    (endpoint,) = named(streaming, SERVICE, "fraud-detection-endpoint").inputs["template"]["containers"]
    assert endpoint["resources"]["cpuIdle"] is True


def test_instances_of_the_processor_follow_the_events_or_the_replicas(streaming, named):
    scaling = named(streaming, SERVICE, "fraud-detection-processor").inputs["template"]["scaling"]
    # 2,000 events a second need four instances; serving may have eight.
    assert scaling == {"minInstanceCount": 2, "maxInstanceCount": 8}


def test_only_ingest_tells_decisions(house, named):
    grant = named(house, "gcp:pubsub/topicIAMMember:TopicIAMMember", "fraud-detection-decisions").inputs
    assert (grant["role"], grant["member"]) == ("roles/pubsub.publisher", "serviceAccount:ingest@house.iam")


def test_only_ingest_invokes_the_services(house):
    granted = {(grant.name, grant.inputs["role"], grant.inputs["member"]) for grant in house.of_type(INVOKER)}
    assert granted == {
        ("fraud-detection-processor", "roles/run.invoker", "serviceAccount:ingest@house.iam"),
        ("fraud-detection-endpoint", "roles/run.invoker", "serviceAccount:ingest@house.iam"),
    }


def test_in_hybrid_a_processor_keeps_features_and_scores_nothing(hybrid, named):
    assert [service.name for service in hybrid.of_type(SERVICE)] == ["delivery-eta-endpoint", "delivery-eta-processor"]
    told = environment(named(hybrid, SERVICE, "delivery-eta-processor"))
    assert set(told) == {"WORKLOAD", "STATE", "FEATURE_STORE", "DEAD_LETTERS"}
    assert hybrid.platform.serving.processor is None
    assert hybrid.platform.serving.decision_topic is None
    assert [grant.name for grant in hybrid.of_type(INVOKER)] == ["delivery-eta-processor"]
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
