"""The foundation on Google Cloud: APIs, the key and who may use it, identities and their rights, logs."""

import re
from types import SimpleNamespace

import pytest
from ml_blueprints.errors import BlueprintError
from ml_blueprints.gcp import LIMITS, foundation
from ml_blueprints.settings import Purpose

ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
KEY_GRANT = "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"


def permissions(built) -> dict[str, list[str]]:
    return {role.name: role.inputs["permissions"] for role in built.of_type(ROLE)}


def test_apis_are_enabled_and_stay_enabled(streaming):
    services = {
        service.inputs["service"]: service.inputs for service in streaming.of_type("gcp:projects/service:Service")
    }
    assert {"aiplatform.googleapis.com", "cloudkms.googleapis.com", "run.googleapis.com"} <= set(services)
    # Without these APIs images aren't scanned, and nothing judges what Cloud Run is given.
    assert {"containerscanning.googleapis.com", "binaryauthorization.googleapis.com"} <= set(services)
    assert all(service["disableOnDestroy"] is False for service in services.values())


def test_batch_has_no_api_that_only_services_need(batch):
    services = {service.inputs["service"] for service in batch.of_type("gcp:projects/service:Service")}
    assert "aiplatform.googleapis.com" in services
    assert "run.googleapis.com" not in services


def test_the_key_rotates_as_the_settings_say(build):
    built = build("gcp", "credit_scoring", encryption={"rotation_days": 90})
    (key,) = built.of_type("gcp:kms/cryptoKey:CryptoKey")
    (ring,) = built.of_type("gcp:kms/keyRing:KeyRing")
    assert key.inputs["rotationPeriod"] == "7776000s"
    assert key.inputs["purpose"] == "ENCRYPT_DECRYPT"
    assert ring.inputs["location"] == "europe-west1"


def test_each_service_that_encrypts_may_use_the_key_and_nothing_more(streaming, batch):
    users = {grant.name.removeprefix("fraud-detection-key-") for grant in streaming.of_type(KEY_GRANT)}
    # Secrets in the states of stacks.
    assert {"auditor", "deployer"} <= users
    assert users - {"auditor", "deployer"} == {
        "aiplatform",
        "artifactregistry",
        "bigquery",
        "bigtableadmin",
        "compute",
        "dataproc",
        "logging",
        "pubsub",
        "run",
        "secretmanager",
        "storage",
        "workflows",
    }
    for grant in streaming.of_type(KEY_GRANT):
        uses = "Decrypter" if grant.name.endswith("-auditor") else "EncrypterDecrypter"
        assert grant.inputs["role"] == f"roles/cloudkms.cryptoKey{uses}"
        assert grant.inputs["member"].startswith("serviceAccount:")
    of_batch = {grant.name for grant in batch.of_type(KEY_GRANT)}
    assert not {"credit-scoring-key-run", "credit-scoring-key-bigtableadmin"} & of_batch


def test_the_disks_of_spark_are_encrypted_by_the_agent_of_the_project(streaming, named):
    compute = named(streaming, KEY_GRANT, "fraud-detection-key-compute").inputs["member"]
    assert re.fullmatch(r"serviceAccount:service-\d+@compute-system\.iam\.gserviceaccount\.com", compute)


def test_who_scans_data_has_no_use_for_the_key(streaming):
    agents = {agent.name for agent in streaming.of_type("gcp:projects/serviceIdentity:ServiceIdentity")}
    assert "fraud-detection-agent-dataplex" in agents
    assert "fraud-detection-key-dataplex" not in {grant.name for grant in streaming.of_type(KEY_GRANT)}


def test_an_existing_key_is_used_and_its_owner_grants_it(house):
    assert not house.of_type("gcp:kms/cryptoKey:CryptoKey")
    assert not house.of_type(KEY_GRANT)
    (logs,) = house.of_type("gcp:logging/projectBucketConfig:ProjectBucketConfig")
    assert logs.inputs["cmekSettings"] == {
        "kmsKeyName": "projects/security/locations/europe-west1/keyRings/ml/cryptoKeys/data"
    }


def test_each_purpose_has_an_account_of_its_own(streaming):
    accounts = {
        account.name: account.inputs["accountId"]
        for account in streaming.of_type("gcp:serviceaccount/account:Account")
        if account.name.removeprefix("fraud-detection-") not in ("auditor", "deployer", "features")
    }
    assert set(accounts) == {f"fraud-detection-{purpose}" for purpose in Purpose}
    assert len(set(accounts.values())) == len(Purpose)
    assert all(6 <= len(account) <= 30 and account[0].isalpha() for account in accounts.values())


def test_rights_on_the_project_are_few_and_without_wildcards(streaming):
    granted = permissions(streaming)
    assert not [name for names in granted.values() for name in names if "*" in name]
    assert "aiplatform.customJobs.create" in granted["fraud-detection-training"]
    assert "workflows.executions.create" in granted["fraud-detection-monitoring"]
    for purpose in ("ingest", "serving"):
        assert not [name for name in granted[f"fraud-detection-{purpose}"] if name.endswith("customJobs.create")]
    predefined = [
        grant.inputs["role"]
        for grant in streaming.of_type("gcp:projects/iAMMember:IAMMember")
        if str(grant.inputs["role"]).startswith("roles/")
    ]
    assert not predefined


def test_vertex_ai_may_attach_jobs_and_change_nothing_else_of_the_network(streaming):
    assert permissions(streaming)["fraud-detection-attach-jobs"] == [
        "compute.networkAttachments.get",
        "compute.networkAttachments.update",
        "compute.regionOperations.get",
    ]


def test_existing_identities_are_used_and_get_no_rights_on_the_project(house):
    accounts = [account.name for account in house.of_type("gcp:serviceaccount/account:Account")]
    assert accounts == ["fraud-detection-auditor", "fraud-detection-deployer", "fraud-detection-features"]
    assert set(permissions(house)) == {
        "fraud-detection-attach-jobs",
        "fraud-detection-auditor",
        "fraud-detection-deployer",
        "fraud-detection-deployer-named",
        "fraud-detection-features",
        "fraud-detection-ingest-predict",
        "fraud-detection-read-contract",
        "fraud-detection-read-features",
        "fraud-detection-scan-data",
        "fraud-detection-use-notebook",
    }


def test_one_existing_identity_leaves_the_others_new(build):
    built = build("gcp", "credit_scoring", identities={"training": "trainer@house.iam"})
    accounts = {account.name for account in built.of_type("gcp:serviceaccount/account:Account")}
    assert "credit-scoring-training" not in accounts
    assert {"credit-scoring-ingest", "credit-scoring-serving", "credit-scoring-monitoring"} <= accounts
    (pipeline,) = [w for w in built.of_type("gcp:workflows/workflow:Workflow") if w.name == "credit-scoring-training"]
    assert pipeline.inputs["serviceAccount"] == "trainer@house.iam"


def test_logs_are_kept_in_an_encrypted_bucket_of_the_region(streaming):
    (bucket,) = streaming.of_type("gcp:logging/projectBucketConfig:ProjectBucketConfig")
    (sink,) = streaming.of_type("gcp:logging/projectSink:ProjectSink")
    assert bucket.inputs["retentionDays"] == 365
    assert bucket.inputs["location"] == "europe-west1"
    assert bucket.inputs["cmekSettings"]["kmsKeyName"]
    assert sink.inputs["destination"].startswith("logging.googleapis.com/")
    assert 'resource.type="gce_subnetwork"' in sink.inputs["filter"]
    assert 'resource.type="workflows.googleapis.com/Workflow"' in sink.inputs["filter"]
    assert 'resource.type="cloud_dataproc_batch"' in sink.inputs["filter"]


def test_a_missing_region_is_said_in_words(build, monkeypatch):
    monkeypatch.setattr(foundation, "config", SimpleNamespace(region=None))
    with pytest.raises(BlueprintError, match="gcp:region: found nothing"):
        build("gcp", "credit_scoring")


def test_the_longest_name_fits_the_tightest_resource():
    # https://cloud.google.com/run/docs/deploying: 49 characters; auto-naming adds a hyphen and seven characters.
    assert LIMITS.name_length + len("-processor") + 8 <= 49
    assert LIMITS.name_length >= len("demand-forecasting")
