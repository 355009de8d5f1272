"""Google Cloud: ids, self-links, names, references, what is replaced and what is held fast, and the functions."""

from typing import Any

import pytest
from sandbox.provider.cloud import CloudError
from sandbox.schema import UNKNOWN

PROJECT = "acme-ml"
ACCOUNT = f"trainer@{PROJECT}.iam.gserviceaccount.com"

BUCKET = "gcp:storage/bucket:Bucket"
TOPIC = "gcp:pubsub/topic:Topic"
SUBSCRIPTION = "gcp:pubsub/subscription:Subscription"
NETWORK = "gcp:compute/network:Network"
SUBNETWORK = "gcp:compute/subnetwork:Subnetwork"
MEMBER = "gcp:storage/bucketIAMMember:BucketIAMMember"
SERVICE_ACCOUNT = "gcp:serviceaccount/account:Account"
ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"


@pytest.mark.parametrize(
    ("type_", "inputs", "id_"),
    [
        (BUCKET, {"name": "lake", "location": "EU"}, "lake"),
        (TOPIC, {"name": "events"}, f"projects/{PROJECT}/topics/events"),
        (NETWORK, {"name": "ml"}, f"projects/{PROJECT}/global/networks/ml"),
        (
            ENDPOINT,
            {"name": "4711", "displayName": "fraud", "location": "europe-west1"},
            f"projects/{PROJECT}/locations/europe-west1/endpoints/4711",
        ),
        (
            "gcp:bigquery/dataset:Dataset",
            {"datasetId": "features", "location": "EU"},
            f"projects/{PROJECT}/datasets/features",
        ),
        (SERVICE_ACCOUNT, {"accountId": "trainer"}, f"projects/{PROJECT}/serviceAccounts/{ACCOUNT}"),
        (
            "gcp:kms/keyRing:KeyRing",
            {"name": "ml", "location": "europe-west1"},
            f"projects/{PROJECT}/locations/europe-west1/keyRings/ml",
        ),
        (
            "gcp:projects/service:Service",
            {"service": "aiplatform.googleapis.com"},
            f"{PROJECT}/aiplatform.googleapis.com",
        ),
        (TOPIC, {"name": "events", "project": "other"}, "projects/other/topics/events"),
        (
            "gcp:dataplex/datascan:Datascan",
            {"dataScanId": "quality", "location": "europe-west1", "data": {}, "executionSpec": {"trigger": {}}},
            f"projects/{PROJECT}/locations/europe-west1/dataScans/quality",
        ),
    ],
)
def test_ids_have_the_form_that_the_providers_pages_show(gcp, type_: str, inputs: dict[str, Any], id_: str) -> None:
    assert gcp.make(type_, inputs).id == id_


def test_things_below_others_carry_their_id(gcp) -> None:
    ring = gcp.make("gcp:kms/keyRing:KeyRing", {"name": "ml", "location": "europe-west1"})
    key = gcp.make("gcp:kms/cryptoKey:CryptoKey", {"name": "lake", "keyRing": ring.id})
    assert key.id == f"{ring.id}/cryptoKeys/lake"
    gcp.make(BUCKET, {"location": "EU", "encryption": {"defaultKmsKeyName": key.id}})


def test_parts_of_an_instance_of_bigtable_are_below_it(gcp) -> None:
    instance = gcp.make("gcp:bigtable/instance:Instance", {"name": "windows"})
    at = {"instanceName": "windows"}
    table = gcp.make("gcp:bigtable/table:Table", {**at, "name": "state"})
    assert table.id == f"{instance.id}/tables/state"
    rules = gcp.make("gcp:bigtable/gCPolicy:GCPolicy", {**at, "table": "state", "columnFamily": "f"})
    assert rules.id == f"{table.id}/columnFamilies/f"
    profile = gcp.make("gcp:bigtable/appProfile:AppProfile", {"instance": "windows", "appProfileId": "p"})
    assert profile.id == f"{instance.id}/appProfiles/p"


def test_an_object_is_in_a_bucket(gcp) -> None:
    gcp.make(BUCKET, {"name": "code", "location": "EU"})
    inputs = {"bucket": "code", "name": "jobs/features.py", "content": "print()"}
    assert gcp.make("gcp:storage/bucketObject:BucketObject", inputs).id == "code-jobs/features.py"


def test_numbers_are_given_where_the_service_gives_numbers(gcp) -> None:
    ids = [
        gcp.make(
            "gcp:monitoring/notificationChannel:NotificationChannel",
            {"type": "email", "labels": {"email_address": "a@b.example"}},
            name,
        ).id
        for name in ("first", "second")
    ]
    assert ids[0] != ids[1]
    for id_ in ids:
        parent, _, number = id_.rpartition("/")
        assert parent == f"projects/{PROJECT}/notificationChannels"
        assert number.isdigit()


def test_outputs_follow_from_project_and_name(gcp) -> None:
    bucket = gcp.make(BUCKET, {"name": "lake", "location": "EU", "labels": {"team": "ml"}}).outputs
    assert bucket["url"] == "gs://lake"
    assert bucket["project"] == PROJECT
    assert bucket["effectiveLabels"] == {"team": "ml", "goog-pulumi-provisioned": "true"}
    network = gcp.make(NETWORK, {"name": "ml"}).outputs
    assert network["selfLink"] == f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/global/networks/ml"
    account = gcp.make(SERVICE_ACCOUNT, {"accountId": "trainer"}).outputs
    assert (account["email"], account["member"]) == (ACCOUNT, f"serviceAccount:{ACCOUNT}")
    service = gcp.make("gcp:cloudrunv2/service:Service", {"name": "api", "location": "europe-west1", "template": {}})
    assert service.outputs["uri"].startswith("https://api-")
    assert service.outputs["uri"].endswith(".europe-west1.run.app")


def test_auto_naming_adds_seven_digits_to_the_logical_name(gcp) -> None:
    assert gcp.make(TOPIC, {}, "events").outputs["name"] == "events-a1b2c3d"
    assert gcp.make(BUCKET, {"location": "EU"}, "lake").id == "lake-a1b2c3d"


def test_a_name_that_must_be_a_number_is_not_generated_in_silence(gcp) -> None:
    inputs = {"displayName": "fraud", "location": "europe-west1"}
    assert gcp.refusals(ENDPOINT, {**inputs, "name": "fraud"}) == ["name: `fraud` is not a number of at most 10 digits"]
    assert gcp.refusals(ENDPOINT, {**inputs, "name": "4711"}) == []


def test_a_name_that_is_taken_is_refused(gcp) -> None:
    gcp.make(TOPIC, {"name": "events"})
    with pytest.raises(CloudError, match=rf"^{TOPIC} `projects/{PROJECT}/topics/events` already exists$"):
        gcp.make(TOPIC, {"name": "events"})


def test_a_project_must_be_known(open_world, monkeypatch) -> None:
    world = open_world("gcp", {})
    refusals = world.refusals(TOPIC, {"name": "events"})
    assert refusals == ["project: missing project; set it with `pulumi config set gcp:project ...`"]
    assert world.refusals(TOPIC, {"name": "events", "project": "other"}) == []
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "from-the-shell")
    assert world.make(TOPIC, {"name": "events"}).id == "projects/from-the-shell/topics/events"


@pytest.mark.parametrize(
    ("type_", "inputs", "refusal"),
    [
        (
            SUBSCRIPTION,
            {"topic": f"projects/{PROJECT}/topics/none"},
            f"topic: there is nothing with the identifier `projects/{PROJECT}/topics/none`",
        ),
        (
            SUBNETWORK,
            {
                "ipCidrRange": "10.0.0.0/20",
                "network": f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/global/networks/none",
            },
            f"network: there is nothing with the identifier `projects/{PROJECT}/global/networks/none`",
        ),
        (
            MEMBER,
            {"bucket": "none", "role": "roles/storage.admin", "member": "allUsers"},
            f"bucket: there is no {BUCKET} of the name `none`",
        ),
        (
            "gcp:bigtable/table:Table",
            {"instanceName": "none", "name": "windows"},
            "instanceName: there is no gcp:bigtable/instance:Instance of the name `none`",
        ),
        (
            "gcp:storage/bucketObject:BucketObject",
            {"bucket": "none", "name": "job.py", "content": "print()"},
            f"bucket: there is no {BUCKET} of the name `none`",
        ),
        (
            "gcp:bigquery/table:Table",
            {"datasetId": "none", "tableId": "clicks"},
            "datasetId: there is no gcp:bigquery/dataset:Dataset of the name `none`",
        ),
        (
            BUCKET,
            {"location": "EU", "labels": {"copy": "gs://none/x"}},
            "labels.copy: there is nothing with the identifier `none`",
        ),
    ],
)
def test_a_reference_to_what_does_not_exist_is_refused_by_its_path(
    gcp, type_: str, inputs: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(CloudError) as error:
        gcp.make(type_, inputs)
    assert str(error.value) == f"{refusal} on this cloud"


def test_a_member_must_be_an_account_that_exists(gcp) -> None:
    gcp.make(BUCKET, {"name": "lake", "location": "EU"})
    inputs = {"bucket": "lake", "role": "roles/storage.admin", "member": f"serviceAccount:{ACCOUNT}"}
    with pytest.raises(CloudError, match=rf"^member: there is nothing with the identifier `{ACCOUNT}`"):
        gcp.make(MEMBER, inputs)
    gcp.make(SERVICE_ACCOUNT, {"accountId": "trainer"})
    assert gcp.make(MEMBER, inputs).id == f"lake/roles/storage.admin/serviceAccount:{ACCOUNT}"


@pytest.mark.parametrize("form", ["{id}", "{selfLink}", "//compute.googleapis.com/{id}"])
def test_a_network_is_referred_to_by_its_id_its_self_link_or_its_full_name(gcp, form: str) -> None:
    network = gcp.make(NETWORK, {"name": "ml"})
    reference = form.format(id=network.id, **{"selfLink": network.outputs["selfLink"]})
    gcp.make(SUBNETWORK, {"network": reference, "ipCidrRange": "10.0.0.0/20", "region": "europe-west1"})
    with pytest.raises(CloudError, match=rf"^{NETWORK} `{network.id}` can't be deleted: it is in use by {SUBNETWORK}"):
        gcp.delete(network)


@pytest.mark.parametrize(
    "text",
    [
        "projects/other/topics/none",
        f"projects/{PROJECT}/locations/europe-west1",
        f"projects/{PROJECT}",
        f"service-1234567890@{PROJECT}.iam.gserviceaccount.com",
        "serviceAccount:x@other.iam.gserviceaccount.com",
    ],
)
def test_what_exists_by_itself_or_elsewhere_is_no_reference(gcp, text: str) -> None:
    gcp.make(NETWORK, {"description": text})


def test_a_service_may_be_switched_on_twice_and_a_binding_made_twice(gcp) -> None:
    gcp.make(BUCKET, {"name": "lake", "location": "EU"})
    for name in ("first", "second"):
        gcp.make("gcp:projects/service:Service", {"service": "aiplatform.googleapis.com"}, name)
        gcp.make(MEMBER, {"bucket": "lake", "role": "roles/storage.objectViewer", "member": "allUsers"}, name)
        # The policy of a project has one configuration of audit logs for each service.
        audited = {"service": "storage.googleapis.com", "auditLogConfigs": [{"logType": "DATA_READ"}]}
        gcp.make("gcp:projects/iAMAuditConfig:IAMAuditConfig", {"project": PROJECT, **audited}, name)
    assert len(gcp.store.find()) == 4


def test_an_objective_is_of_a_service_that_exists_and_is_named_by_its_whole_path(gcp) -> None:
    objective = {"service": "answers", "sloId": "errors", "goal": 0.99, "rollingPeriodDays": 30}
    with pytest.raises(CloudError, match="answers"):
        gcp.make("gcp:monitoring/slo:Slo", objective)
    gcp.make("gcp:monitoring/customService:CustomService", {"serviceId": "answers"}, "service")
    made = gcp.make("gcp:monitoring/slo:Slo", objective)
    assert made.outputs["name"] == f"projects/{PROJECT}/services/answers/serviceLevelObjectives/errors"


@pytest.mark.parametrize(
    ("type_", "property_", "replaced"),
    [
        (TOPIC, "name", True),
        (TOPIC, "kmsKeyName", True),
        (TOPIC, "messageRetentionDuration", False),
        (SUBSCRIPTION, "topic", True),
        (SUBSCRIPTION, "ackDeadlineSeconds", False),
        (NETWORK, "autoCreateSubnetworks", True),
        (BUCKET, "location", True),
        (BUCKET, "storageClass", False),
        (ENDPOINT, "network", True),
        (ENDPOINT, "displayName", False),
        ("gcp:bigquery/dataset:Dataset", "datasetId", True),
        ("gcp:bigtable/table:Table", "instanceName", True),
        ("gcp:bigtable/table:Table", "deletionProtection", False),
        ("gcp:dataplex/datascan:Datascan", "data", True),
        ("gcp:dataplex/datascan:Datascan", "executionSpec", False),
    ],
)
def test_what_the_service_cannot_change_is_replaced(gcp, type_: str, property_: str, replaced: bool) -> None:
    identity = {"name": "thing", "datasetId": "thing", "dataScanId": "thing", "location": "EU"}
    old, new = {**identity, property_: "old"}, {**identity, property_: "new"}
    difference = gcp.plane.diff(gcp.urn(type_), old, new)
    assert bool(difference.replacing) is replaced
    assert difference.changes == {property_: "update"}


@pytest.mark.parametrize("property_", ["role", "member"])
def test_a_binding_whose_new_part_is_not_known_yet_can_be_compared(gcp, property_: str) -> None:
    old = {"bucket": "lake", "role": "roles/storage.admin", "member": "allUsers"}
    difference = gcp.plane.diff(gcp.urn(MEMBER), old, {**old, property_: UNKNOWN})
    assert difference.changes == {property_: "update"}
    assert difference.replacing == {property_}
    assert not difference.delete_first


def test_functions_know_project_client_and_service_agents(gcp) -> None:
    def call(token: str, **arguments: Any) -> dict[str, Any]:
        result, failures = gcp.plane.invoke(token, arguments)
        assert failures == []
        return result

    project = call("gcp:organizations/getProject:getProject")
    assert project["projectId"] == PROJECT
    assert project["number"].isdigit()
    client = call("gcp:organizations/getClientConfig:getClientConfig")
    assert (client["project"], client["region"]) == (PROJECT, "europe-west1")
    zones = call("gcp:compute/getZones:getZones", region="europe-west4")
    assert zones["names"] == ["europe-west4-a", "europe-west4-b", "europe-west4-c"]
    assert call("gcp:compute/getZones:getZones")["names"][0] == "europe-west1-a"
    agent = call("gcp:storage/getProjectServiceAccount:getProjectServiceAccount")
    assert agent["emailAddress"] == f"service-{project['number']}@gs-project-accounts.iam.gserviceaccount.com"
    bigquery = call("gcp:bigquery/getDefaultServiceAccount:getDefaultServiceAccount")
    assert bigquery["member"] == f"serviceAccount:bq-{project['number']}@bigquery-encryption.iam.gserviceaccount.com"


def test_a_data_source_finds_what_exists_and_refuses_what_does_not(gcp) -> None:
    topic = gcp.make(TOPIC, {"name": "events"})
    assert gcp.plane.invoke("gcp:pubsub/getTopic:getTopic", {"name": "events"})[0]["id"] == topic.id
    with pytest.raises(CloudError, match=rf"^gcp:pubsub/getTopic:getTopic: there is no {TOPIC} with .*'none'"):
        gcp.plane.invoke("gcp:pubsub/getTopic:getTopic", {"name": "none"})
