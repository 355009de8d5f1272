"""Where windows lie on Google Cloud: one cluster that compares before it changes, what is kept, who changes it."""

import pytest
from ml_blueprints.gcp.window_state import nodes

KEY = "projects/security/locations/europe-west1/keyRings/ml/cryptoKeys/data"
INSTANCE = "gcp:bigtable/instance:Instance"
TABLE = "gcp:bigtable/table:Table"


@pytest.mark.parametrize(("events", "most"), [(1, 2), (4000, 2), (4001, 4), (100_000, 50)])
def test_nodes_follow_the_events(events, most):
    assert nodes(events) == most


def test_windows_are_encrypted_and_scale_with_the_load(house):
    (instance,) = house.of_type(INSTANCE)
    (cluster,) = instance.inputs["clusters"]
    assert cluster["kmsKeyName"] == KEY
    assert cluster["storageType"] == "SSD"
    assert cluster["autoscalingConfig"] == {"minNodes": 1, "maxNodes": 2, "cpuTarget": 60}
    assert 6 <= len(instance.inputs["name"]) <= 33
    assert 6 <= len(cluster["clusterId"]) <= 30


def test_the_cluster_stays_in_its_zone_when_the_region_gets_another(streaming):
    (instance,) = streaming.of_type(INSTANCE)
    assert instance.inputs["clusters"][0]["zone"].startswith("europe-west1-")
    assert instance.ignore_changes == ("clusters[0].zone",)


@pytest.mark.parametrize(("environment", "kept"), [("production", True), ("experiment", False)])
def test_windows_are_protected_where_they_are_needed(once, environment, kept):
    fence = {"expires_on": "2099-12-30", "monthly_usd": 100, "classification": "restricted"}
    built = once("fraud_detection", environment=environment, experiment=None if kept else fence)
    (instance,), (table,) = built.of_type(INSTANCE), built.of_type(TABLE)
    assert instance.inputs["deletionProtection"] is kept
    assert instance.inputs["forceDestroy"] is not kept
    assert table.inputs["deletionProtection"] == ("PROTECTED" if kept else "UNPROTECTED")


def test_windows_are_backed_up_and_go_with_the_data(streaming):
    (table,) = streaming.of_type(TABLE)
    assert table.inputs["automatedBackupPolicy"] == {"frequency": "24h", "retentionPeriod": "72h"}
    assert table.inputs["columnFamilies"] == [{"family": "state"}]
    (rules,) = streaming.of_type("gcp:bigtable/gCPolicy:GCPolicy")
    assert rules.inputs["columnFamily"] == "state"
    assert rules.inputs["maxAge"] == {"duration": f"{400 * 24}h"}
    assert rules.inputs["maxVersions"] == [{"number": 1}]
    assert rules.inputs["mode"] == "UNION"


def test_the_processors_requests_compare_and_change_in_one_place(streaming):
    (instance,) = streaming.of_type(INSTANCE)
    (profile,) = streaming.of_type("gcp:bigtable/appProfile:AppProfile")
    assert profile.inputs["appProfileId"] == "processor"
    assert profile.inputs["singleClusterRouting"] == {
        "clusterId": instance.inputs["clusters"][0]["clusterId"],
        "allowTransactionalWrites": True,
    }


def test_only_ingest_reads_and_writes_windows(house):
    (grant,) = house.of_type("gcp:bigtable/tableIamMember:TableIamMember")
    assert grant.inputs["role"] == "roles/bigtable.user"
    assert grant.inputs["member"] == "serviceAccount:ingest@house.iam"


def test_batch_has_no_windows(batch):
    assert not batch.of_type(INSTANCE)
    assert batch.platform.features.window_state is None
