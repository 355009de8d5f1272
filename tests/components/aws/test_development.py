"""The development layer on AWS: registries, the key that signs, experiments, and the pipelines."""

import json
import re

import pytest
from ml_blueprints.aws.pipeline_definition import candidates

KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"
PACKAGES = "aws:sagemaker/modelPackageGroup:ModelPackageGroup"
PIPELINE = "aws:sagemaker/pipeline:Pipeline"
SECRET = "aws:secretsmanager/secret:Secret"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"


def test_images_are_immutable_scanned_and_encrypted(house):
    (images,) = house.of_type("aws:ecr/repository:Repository")
    assert images.inputs["imageTagMutability"] == "IMMUTABLE"
    assert images.inputs["imageScanningConfiguration"] == {"scanOnPush": True}
    assert images.inputs["encryptionConfigurations"] == [{"encryptionType": "KMS", "kmsKey": KEY}]
    assert re.fullmatch(r"fraud-detection-[0-9a-f]{8}/ml-serving", images.inputs["name"])
    assert not images.inputs.get("forceDelete")


def test_images_without_a_tag_go_after_a_month(house):
    (policy,) = house.of_type("aws:ecr/lifecyclePolicy:LifecyclePolicy")
    (repository,) = house.of_type("aws:ecr/repository:Repository")
    assert policy.inputs["repository"] == repository.inputs["name"]
    (rule,) = json.loads(policy.inputs["policy"])["rules"]
    assert rule["action"] == {"type": "expire"}
    assert (rule["selection"]["tagStatus"], rule["selection"]["countNumber"]) == ("untagged", 30)


@pytest.mark.parametrize("purpose", ["ingest", "training", "serving", "monitoring"])
def test_identities_pull_the_platforms_images_and_push_none(streaming, allowed, purpose):
    (repository,) = allowed(streaming, purpose, "ecr:BatchGetImage")
    assert repository.endswith("/ml-serving")
    assert not allowed(streaming, purpose, "ecr:PutImage")


def test_each_model_has_one_place_however_many_versions_it_has(hybrid, streaming):
    # Those of the workload, and those that training chooses from.
    assert [group.name for group in hybrid.of_type(PACKAGES)] == [
        "delivery-eta-gradient-boosting",
        "delivery-eta-ridge-regression",
    ]
    assert set(streaming.platform.development.registry) == {
        "gradient-boosting",
        "logistic-regression",
        "sequence-network",
    }
    names = [group.inputs["modelPackageGroupName"] for group in streaming.of_type(PACKAGES)]
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackageGroup.html
    assert all(len(name) <= 63 for name in names)
    assert len(set(names)) == 3


def test_the_pipeline_registers_where_there_is_a_place(once):
    for workload in ("churn", "demand_forecasting", "fraud_detection"):
        built = once(workload)
        training = built.named(PIPELINE, f"{built.platform.context.name}-training")
        chosen = candidates(training.inputs["pipelineDefinition"])
        places = {group.inputs["modelPackageGroupName"] for group in built.of_type(PACKAGES)}
        prefix = steps(built, "training")["package"]["ModelPackageGroupName"]["Std:Join"]["Values"][0]
        assert len(chosen) > 1
        assert {f"{prefix}-{one}" for one in chosen} <= places


def test_only_training_registers_versions(streaming, allowed):
    registered = allowed(streaming, "training", "sagemaker:CreateModelPackage")
    names = [group.inputs["modelPackageGroupName"] for group in streaming.of_type(PACKAGES)]
    assert {arn.partition(":model-package/")[2] for arn in registered} == {f"{name}/*" for name in names}
    for purpose in ("ingest", "serving", "monitoring", "exploration"):
        assert not allowed(streaming, purpose, "sagemaker:CreateModelPackage")


def test_experiments_are_kept_in_the_models_zone_under_the_training_identity(house):
    (tracker,) = house.of_type("aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer")
    assert re.fullmatch(r"s3://fraud-detection-models-[0-9a-f]+/experiments", tracker.inputs["artifactStoreUri"])
    assert tracker.inputs["roleArn"] == "arn:aws:iam::210987654321:role/house-training"
    assert tracker.inputs["automaticModelRegistration"] is False


def test_training_and_people_log_experiments(streaming, allowed):
    for purpose in ("training", "exploration"):
        (tracker,) = allowed(streaming, purpose, "sagemaker-mlflow:LogMetric")
        assert ":mlflow-tracking-server/fraud-detection-" in tracker
    for purpose in ("ingest", "serving", "monitoring"):
        assert not allowed(streaming, purpose, "sagemaker-mlflow:LogMetric")


def steps(built, name: str) -> dict[str, dict]:
    """The arguments of the steps of a pipeline, those of branches, too."""
    text = built.named(PIPELINE, f"{built.platform.context.name}-{name}").inputs["pipelineDefinition"]
    top = json.loads(text)["Steps"]
    inner = [step for one in top for step in one["Arguments"].get("IfSteps", [])]
    return {step["Name"]: step["Arguments"] for step in top + inner}


def told(built, name: str, step: str, option: str) -> str:
    """What a step of a pipeline is told by an option."""
    words = steps(built, name)[step]["AppSpecification"]["ContainerArguments"]
    return words[words.index(option) + 1]


def read(built, name: str, step: str) -> dict[str, str]:
    """What a step of a pipeline reads, by where it is mounted."""
    found = steps(built, name)[step]["ProcessingInputs"]
    return {one["InputName"]: one["S3Input"]["S3Uri"] for one in found}


@pytest.mark.parametrize("name", ["training", "retraining"])
def test_pipelines_run_under_the_training_identity_with_key_and_network(house, named, name):
    pipeline = named(house, PIPELINE, f"fraud-detection-{name}").inputs
    assert pipeline["roleArn"] == "arn:aws:iam::210987654321:role/house-training"
    (rule,) = house.of_type(EGRESS)
    collect = steps(house, name)["collect"]
    assert collect["RoleArn"] == pipeline["roleArn"]
    assert collect["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"] == KEY
    assert collect["NetworkConfig"]["VpcConfig"] == {
        "SecurityGroupIds": [rule.inputs["securityGroupId"]],
        "Subnets": ["subnet-0123456789abcdef1", "subnet-0123456789abcdef2"],
    }
    assert "of-the-stack" not in pipeline["pipelineDefinition"]


def test_training_reads_the_archive_with_its_labels_and_leaves_models_in_their_zone(streaming):
    found = read(streaming, "training", "collect")
    assert re.fullmatch(r"s3://fraud-detection-raw-[0-9a-f]+/events/", found["archive"])
    assert re.fullmatch(r"s3://fraud-detection-curated-[0-9a-f]+/labels/", found["labels"])
    (output,) = steps(streaming, "training")["publish"]["ProcessingOutputConfig"]["Outputs"]
    place, bucket, *_ = output["S3Output"]["S3Uri"]["Std:Join"]["Values"]
    assert place == "s3:/"
    assert re.fullmatch(r"fraud-detection-models-[0-9a-f]+", bucket)


def test_retraining_starts_from_the_champion(streaming):
    champion = read(streaming, "retraining", "evaluate")["champion"]
    assert re.fullmatch(r"s3://fraud-detection-models-[0-9a-f]+/gradient-boosting/1\.2\.0/", champion)
    assert told(streaming, "retraining", "validate", "--as-of") == {"Get": "Parameters.AsOf"}


def test_models_are_signed_but_in_an_experiment(streaming, experiment):
    (secret,) = streaming.of_type(SECRET)
    assert told(streaming, "training", "register", "--environment") == "production"
    assert told(streaming, "training", "register", "--key") == f"aws-secret:{secret.id}"
    assert told(experiment(), "training", "register", "--environment") == "experiment"
    assert told(experiment(), "training", "register", "--key") == "none"


def test_training_is_interrupted_in_experiments_only(streaming, experiment, named):
    name = "fraud-detection-training"
    assert "EnableManagedSpotTraining" not in named(streaming, PIPELINE, name).inputs["pipelineDefinition"]
    assert '"EnableManagedSpotTraining": true' in named(experiment(), PIPELINE, name).inputs["pipelineDefinition"]


def test_the_signing_key_has_a_place_and_no_value(streaming, house):
    (secret,) = house.of_type(SECRET)
    assert secret.inputs["kmsKeyId"] == KEY
    assert secret.inputs["recoveryWindowInDays"] == 30
    assert not streaming.of_type("aws:secretsmanager/secretVersion:SecretVersion")


def test_training_alone_reads_the_signing_key(streaming, allowed):
    (secret,) = streaming.of_type(SECRET)
    assert allowed(streaming, "training", "secretsmanager:GetSecretValue") == [secret.id]
    for purpose in ("ingest", "serving", "monitoring", "exploration"):
        assert not allowed(streaming, purpose, "secretsmanager:GetSecretValue")
    (own,) = streaming.of_type("aws:secretsmanager/secretPolicy:SecretPolicy")
    assert own.inputs["blockPublicPolicy"] is True
    (refused,) = json.loads(own.inputs["policy"])["Statement"]
    assert (refused["Effect"], refused["Principal"]) == ("Deny", "*")
    assert refused["Action"] == ["secretsmanager:GetSecretValue"]
    assert ":role/fraud-detection-training-" in refused["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]


def test_an_experiment_leaves_nothing_behind(experiment):
    (secret,) = experiment().of_type(SECRET)
    assert secret.inputs["recoveryWindowInDays"] == 0
    (images,) = experiment().of_type("aws:ecr/repository:Repository")
    assert images.inputs["forceDelete"] is True


def test_accounts_that_take_models_on_read_packages_images_and_files(once, named):
    built = once("fraud_detection", promotes_to=["210987654321"])
    theirs = {"AWS": ["arn:aws:iam::210987654321:root"]}
    policies = built.of_type("aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy")
    assert len(policies) == len(built.of_type(PACKAGES))
    for found in policies:
        group, packages = json.loads(found.inputs["resourcePolicy"])["Statement"]
        assert group["Principal"] == packages["Principal"] == theirs
        assert packages["Action"] == ["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"]
        assert packages["Resource"][0].endswith(f":model-package/{found.inputs['modelPackageGroupName']}/*")
    (images,) = built.of_type("aws:ecr/repositoryPolicy:RepositoryPolicy")
    (pull,) = json.loads(images.inputs["policy"])["Statement"]
    assert pull["Principal"] == theirs
    assert not [action for action in pull["Action"] if "Put" in action or "Upload" in action]
    bucket = named(built, "aws:s3/bucketPolicy:BucketPolicy", "fraud-detection-models").inputs["policy"]
    _, read = json.loads(bucket)["Statement"]
    assert (read["Principal"], read["Action"]) == (theirs, ["s3:GetObject"])
    # Runs hold data of people, and stay here.
    assert {arn.split("/", 1)[1] for arn in read["Resource"]} == {"gradient-boosting/*", "sequence-network/*"}


def test_without_accounts_that_take_models_on_nothing_is_shared(streaming):
    assert not streaming.of_type("aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy")
    assert not streaming.of_type("aws:ecr/repositoryPolicy:RepositoryPolicy")


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("ml-serving", r"123456789012\.dkr\.ecr\.eu-west-1\.amazonaws\.com/credit-scoring-[0-9a-f]{8}/ml-serving"),
        ("registry.example.com/house/scorer", r"registry\.example\.com/house/scorer"),
    ],
    ids=["ours", "theirs"],
)
def test_training_runs_the_image_of_the_settings(once, given, used):
    digest = f"sha256:{'0a' * 32}"
    built = once("credit_scoring", serving_image=f"{given}@{digest}")
    image = steps(built, "training")["prepare"]["AppSpecification"]["ImageUri"]
    assert re.fullmatch(f"{used}@{digest}", image)


def test_pipelines_start_jobs_of_their_own_in_this_network_only(streaming, rights):
    creating = {
        action: statement
        for statement in rights(streaming, "training")
        for action in statement["Action"]
        if action.startswith("sagemaker:Create") and action.endswith("Job")
    }
    assert set(creating) == {
        "sagemaker:CreateProcessingJob",
        "sagemaker:CreateTrainingJob",
        "sagemaker:CreateHyperParameterTuningJob",
    }
    (group,) = {item.inputs["securityGroupId"] for item in streaming.of_type(EGRESS)}
    for statement in creating.values():
        # A job without a network has no such key, and all of none are ours.
        assert statement["Condition"] == {
            "ForAllValues:StringEquals": {"sagemaker:VpcSecurityGroupIds": [group]},
            "Null": {"sagemaker:VpcSecurityGroupIds": "false"},
        }
    for kind in ("Processing", "Training"):
        for arn in creating[f"sagemaker:Create{kind}Job"]["Resource"]:
            assert arn.endswith("-job/pipelines-*")


def test_pipelines_pass_on_the_training_identity_only(streaming, rights, allowed):
    (passing,) = [statement for statement in rights(streaming, "training") if "iam:PassRole" in statement["Action"]]
    (role,) = passing["Resource"]
    assert ":role/fraud-detection-training-" in role
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    for purpose in ("ingest", "serving", "exploration"):
        assert not allowed(streaming, purpose, "iam:PassRole")


def test_monitoring_passes_the_identity_that_ingests_to_the_feature_job_only_and_its_own_to_its_steps(
    streaming, rights
):
    passing = {
        statement["Condition"]["StringEquals"]["iam:PassedToService"]: statement["Resource"]
        for statement in rights(streaming, "monitoring")
        if "iam:PassRole" in statement["Action"]
    }
    assert set(passing) == {"emr-serverless.amazonaws.com", "sagemaker.amazonaws.com"}
    for service, whose in (("emr-serverless", "ingest"), ("sagemaker", "monitoring")):
        (role,) = passing[f"{service}.amazonaws.com"]
        assert f":role/fraud-detection-{whose}-" in role
