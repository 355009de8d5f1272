"""Notebooks on Azure: who has one, what it lets its user do, and what happens to it when nobody works on it."""

import pytest

ML = "azure-native:machinelearningservices"
COMPUTE = f"{ML}:Compute"
GRANT = "azure-native:authorization:RoleAssignment"
ADA = "6f3a1c52-9d0e-4b7a-8c61-2f5e0d7b9a34"
BLOB_WRITE = "Storage Blob Data Contributor"


@pytest.fixture
def instance(named):
    """The notebook of ada in a platform."""
    return lambda built: named(built, COMPUTE, f"{built.platform.context.name}-workbench-ada")


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid"])
def test_a_person_has_an_instance_of_their_own_which_they_open_signed_in(request, instance, platform):
    found = instance(request.getfixturevalue(platform)).inputs
    assert found["properties"]["computeType"] == "ComputeInstance"
    properties = found["properties"]["properties"]
    assert properties["personalComputeInstanceSettings"]["assignedUser"]["objectId"] == ADA
    assert properties["enableSSO"] is True
    assert properties["applicationSharingPolicy"] == "Personal"


def test_it_has_no_public_address_no_shell_from_outside_and_no_passwords(streaming, instance):
    found = instance(streaming).inputs["properties"]
    assert found["disableLocalAuth"] is True
    assert found["properties"]["enableNodePublicIp"] is False
    assert found["properties"]["sshSettings"] == {"sshPublicAccess": "Disabled"}


def test_it_stops_when_nobody_works_on_it_and_in_the_evening(streaming, instance):
    properties = instance(streaming).inputs["properties"]["properties"]
    assert properties["idleTimeBeforeShutdown"] == "PT1H"
    (stop,) = properties["schedules"]["computeStartStop"]
    assert (stop["action"], stop["status"], stop["triggerType"]) == ("Stop", "Enabled", "Cron")
    assert stop["cron"] == {"expression": "0 19 * * *", "timeZone": "UTC"}


def test_its_name_has_at_most_24_characters(once):
    built = once("churn", workbench_users={"a-name-of-sixtee": ADA})
    (found,) = [one for one in built.of_type(COMPUTE) if one.name == "churn-workbench-a-name-of-sixtee"]
    assert found.inputs["computeName"].startswith("a-name-of-sixtee-")
    assert len(found.inputs["computeName"]) <= 24


def test_it_acts_under_the_identity_of_exploration(streaming, house, instance, identity):
    assert instance(streaming).inputs["identity"]["userAssignedIdentities"] == [identity(streaming, "exploration")]
    (theirs,) = instance(house).inputs["identity"]["userAssignedIdentities"]
    assert theirs.endswith("/house-exploration")


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid", "experiment"])
def test_exploration_reads_what_was_made_of_events_and_writes_to_its_own_place_only(request, granted, platform):
    assert granted(request.getfixturevalue(platform), "exploration") == {
        ("explore", "Workspace ml"),
        ("Storage Blob Data Reader", "BlobContainer curated"),
        ("Storage Blob Data Reader", "BlobContainer features"),
        (BLOB_WRITE, "BlobContainer scratch"),
    }


@pytest.fixture
def experiment(once):
    """Batch centric, churn, as an experiment: looser, but in what it sees."""
    fence = {"expires_on": "2199-12-31", "monthly_usd": 100, "classification": "confidential"}
    return once("churn", environment="experiment", experiment=fence)


def test_exploration_starts_no_pipeline_and_registers_no_model(streaming, named):
    role = named(streaming, "azure-native:authorization:RoleDefinition", "fraud-detection-explore").inputs
    (permission,) = role["permissions"]
    changes = {action.rpartition("workspaces/")[2] for action in permission["actions"] if not action.endswith("/read")}
    assert changes == {
        "experiments/write",
        "experiments/runs/write",
        "metadata/artifacts/write",
        "metrics/resource/write",
    }


def test_a_person_may_open_notebooks_and_nothing_else(streaming, named, instance, waits_for):
    (grant,) = [found for found in streaming.of_type(GRANT) if found.inputs["principalId"] == ADA]
    role = named(streaming, "azure-native:authorization:RoleDefinition", "fraud-detection-open")
    assert grant.inputs["roleDefinitionId"] == role.id
    assert grant.inputs["scope"] == named(streaming, f"{ML}:Workspace", f"ml-{streaming.platform.context.token}").id
    (permission,) = role.inputs["permissions"]
    changes = {action.rpartition("workspaces/")[2] for action in permission["actions"] if not action.endswith("/read")}
    assert changes == {f"computes/{what}/action" for what in ("applicationaccess", "start", "stop", "restart")}
    assert "RoleAssignment ada-opens" in waits_for(streaming, instance(streaming))


def test_what_is_scratched_together_goes_with_the_data_it_was_made_of(streaming, named):
    policy = named(streaming, "azure-native:storage:ManagementPolicy", "fraud-detection-mlstore").inputs["policy"]
    (rule,) = policy["rules"]
    assert rule["definition"]["filters"]["prefixMatch"] == ["scratch/"]
    assert rule["definition"]["actions"]["baseBlob"]["delete"]["daysAfterModificationGreaterThan"] == 400


def test_nobody_has_an_instance_that_nobody_works_on(once):
    built = once("churn", workbench_users={})
    assert [found.inputs["computeName"] for found in built.of_type(COMPUTE)] == ["jobs", "monitors", "scoring"]
