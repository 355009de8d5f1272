"""Notebooks on Google Cloud: private, encrypted, under the identity that changes nothing, and whose they are."""

import pytest

KEY = "projects/security/locations/europe-west1/keyRings/ml/cryptoKeys/data"
INSTANCE = "gcp:workbench/instance:Instance"
ENTRY = "gcp:workbench/instanceIamMember:InstanceIamMember"
BUCKET_GRANT = "gcp:storage/bucketIAMMember:BucketIAMMember"


@pytest.fixture
def notebook(house, named):
    return named(house, INSTANCE, "fraud-detection-notebook-ada").inputs


def test_a_notebook_has_no_public_address_and_boots_what_is_signed(notebook):
    setup = notebook["gceSetup"]
    assert setup["disablePublicIp"] is True
    (interface,) = setup["networkInterfaces"]
    assert interface["subnet"].endswith("subnetworks/jobs")
    assert "accessConfigs" not in interface
    assert all(setup["shieldedInstanceConfig"].values())


@pytest.mark.parametrize("disk", ["bootDisk", "dataDisks"])
def test_disks_have_the_platforms_key(notebook, disk):
    assert notebook["gceSetup"][disk]["kmsKey"] == KEY
    assert notebook["gceSetup"][disk]["diskEncryption"] == "CMEK"


def test_a_notebook_sleeps_when_nobody_works_and_its_owner_is_not_root(notebook):
    metadata = notebook["gceSetup"]["metadata"]
    assert metadata["idle-timeout-seconds"] == "3600"
    assert metadata["notebook-disable-root"] == "true"
    assert metadata["notebook-disable-downloads"] == "true"
    assert metadata["notebook-upgrade-schedule"]


def test_a_notebook_is_its_owners_and_runs_as_exploration(house, named, notebook):
    assert notebook["instanceOwners"] == ["ada@example.com"]
    assert notebook["gceSetup"]["serviceAccounts"] == [{"email": "exploration@house.iam"}]
    entry = named(house, ENTRY, "fraud-detection-notebook-ada").inputs
    assert entry["member"] == "user:ada@example.com"
    assert "use_notebook" in entry["role"]


def test_owners_use_their_notebook_and_cannot_change_it(house, named):
    role = named(house, "gcp:projects/iAMCustomRole:IAMCustomRole", "fraud-detection-use-notebook")
    assert set(role.inputs["permissions"]) == {
        f"notebooks.instances.{what}" for what in ("get", "start", "stop", "use")
    }


def test_explorers_read_what_was_made_of_events_and_write_nothing(streaming):
    member = (
        "serviceAccount:"
        + streaming.named("gcp:serviceaccount/account:Account", "fraud-detection-exploration").inputs["accountId"]
    )
    granted = {
        (grant.name, grant.inputs["role"])
        for grant in streaming.of_type(BUCKET_GRANT)
        if str(grant.inputs["member"]).startswith(member)
    }
    assert granted == {
        ("fraud-detection-exploration-curated", "roles/storage.objectViewer"),
        ("fraud-detection-exploration-features", "roles/storage.objectViewer"),
    }


def test_explorers_start_no_job_and_no_pipeline(streaming, named):
    role = named(streaming, "gcp:projects/iAMCustomRole:IAMCustomRole", "fraud-detection-exploration")
    assert not [one for one in role.inputs["permissions"] if one.startswith(("aiplatform", "workflows", "dataproc"))]


def test_without_people_there_is_no_notebook(once):
    built = once("churn", workbench_users={})
    assert not built.of_type(INSTANCE)
    assert not built.of_type(ENTRY)
