"""The workbench on AWS: notebooks in the private network, who opens which, and what they may do."""

import json

import pytest

DOMAIN = "aws:sagemaker/domain:Domain"
PROFILE = "aws:sagemaker/userProfile:UserProfile"
SPACE = "aws:sagemaker/space:Space"
PERSON = "${aws:SourceIdentity}"


def test_the_domain_is_private_and_encrypted(house):
    (domain,) = house.of_type(DOMAIN)
    assert domain.inputs["appNetworkAccessType"] == "VpcOnly"
    assert domain.inputs["vpcId"] == "vpc-0123456789abcdef0"
    assert domain.inputs["subnetIds"] == ["subnet-0123456789abcdef1", "subnet-0123456789abcdef2"]
    assert domain.inputs["kmsKeyId"].endswith(":key/5ec0de00-da7a-4000-8000-000000000000")
    assert domain.inputs["authMode"] == "SSO"
    assert domain.inputs["domainSettings"]["dockerSettings"] == {"enableDockerAccess": "DISABLED"}


def test_notebooks_act_as_explorers_and_say_whose_they_are(streaming, named):
    (domain,) = streaming.of_type(DOMAIN)
    defaults = domain.inputs["defaultUserSettings"]
    assert ":role/fraud-detection-exploration-" in defaults["executionRole"]
    assert domain.inputs["domainSettings"]["executionRoleIdentityConfig"] == "USER_PROFILE_NAME"
    role = named(streaming, "aws:iam/role:Role", "fraud-detection-exploration").inputs
    (trust,) = json.loads(role["assumeRolePolicy"])["Statement"]
    assert trust["Action"] == ["sts:AssumeRole", "sts:SetSourceIdentity"]


def test_idle_notebooks_stop_and_their_outputs_are_not_shared(streaming):
    (domain,) = streaming.of_type(DOMAIN)
    defaults = domain.inputs["defaultUserSettings"]
    idle = defaults["jupyterLabAppSettings"]["appLifecycleManagement"]["idleSettings"]
    assert idle["lifecycleManagement"] == "ENABLED"
    assert idle["idleTimeoutInMinutes"] == 60 <= idle["maxIdleTimeoutInMinutes"] <= 120
    assert defaults["sharingSettings"] == {"notebookOutputOption": "Disabled"}
    assert defaults["autoMountHomeEfs"] == "Disabled"


def test_each_person_has_a_notebook_that_only_they_open(once):
    built = once("churn", workbench_users={"ada": "ada.lovelace", "grace": "grace.hopper"})
    assert [profile.inputs["userProfileName"] for profile in built.of_type(PROFILE)] == ["ada", "grace"]
    for space in built.of_type(SPACE):
        assert space.inputs["spaceSharingSettings"] == {"sharingType": "Private"}
        # Rights tell people apart by this.
        assert space.inputs["ownershipSettings"] == {"ownerUserProfileName": space.inputs["spaceName"]}
    signed_in = {one.inputs["userProfileName"]: one.inputs["singleSignOnUserValue"] for one in built.of_type(PROFILE)}
    assert signed_in == {"ada": "ada.lovelace", "grace": "grace.hopper"}
    assert {one.inputs["singleSignOnUserIdentifier"] for one in built.of_type(PROFILE)} == {"UserName"}


def test_without_people_there_is_a_domain_and_nobody_in_it(once):
    built = once("churn", workbench_users={})
    assert len(built.of_type(DOMAIN)) == 1
    assert not built.of_type(PROFILE) + built.of_type(SPACE)


def test_explorers_write_their_own_files_and_artifacts_of_experiments_only(streaming, allowed):
    written = allowed(streaming, "exploration", "s3:PutObject")
    own, artifacts = written
    assert own.startswith("arn:aws:s3:::fraud-detection-curated-")
    assert own.endswith(f"/exploration/{PERSON}/*")
    assert artifacts.startswith("arn:aws:s3:::fraud-detection-models-")
    assert artifacts.endswith("/experiments/*")
    assert allowed(streaming, "exploration", "s3:DeleteObject") == [own]


def test_explorers_start_their_own_notebook_only(streaming, allowed):
    (domain,) = streaming.of_type(DOMAIN)
    for action in ("sagemaker:CreateApp", "sagemaker:DeleteApp"):
        assert [arn.partition(":app/")[2] for arn in allowed(streaming, "exploration", action)] == [
            f"{domain.id}/{PERSON}/*"
        ]
    (space,) = allowed(streaming, "exploration", "sagemaker:UpdateSpace")
    assert space.endswith(f":space/{domain.id}/{PERSON}")


@pytest.mark.parametrize(
    "action",
    [
        "sagemaker:StartPipelineExecution",
        "sagemaker:CreateTrainingJob",
        "sagemaker:CreateProcessingJob",
        "sagemaker:CreateHyperParameterTuningJob",
        "sagemaker:CreateModelPackage",
        "sagemaker:InvokeEndpoint",
        "secretsmanager:GetSecretValue",
        "iam:PassRole",
        "lakeformation:GetDataAccess",
    ],
)
def test_explorers_change_nothing_and_start_nothing_of_production(streaming, batch, hybrid, allowed, action):
    for built in (streaming, batch, hybrid):
        assert not allowed(built, "exploration", action)


@pytest.mark.parametrize(("environment", "kept"), [("production", "Retain"), ("experiment", "Delete")])
def test_homes_outlive_the_domain_but_in_an_experiment(request, streaming, experiment, environment, kept):
    built = streaming if environment == "production" else experiment()
    (domain,) = built.of_type(DOMAIN)
    assert domain.inputs["retentionPolicy"] == {"homeEfsFileSystem": kept}
