"""The development layer on AWS: registries, experiments, and the training pipeline."""

import json
import re

import pytest

KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"
PACKAGES = "aws:sagemaker/modelPackageGroup:ModelPackageGroup"
PIPELINE = "aws:sagemaker/pipeline:Pipeline"


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
    assert [group.name for group in hybrid.of_type(PACKAGES)] == ["delivery-eta-gradient-boosting"]
    assert set(streaming.platform.development.registry) == {"gradient-boosting", "sequence-network"}
    names = [group.inputs["modelPackageGroupName"] for group in streaming.of_type(PACKAGES)]
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackageGroup.html
    assert all(len(name) <= 63 for name in names)
    assert len(set(names)) == 2


def test_only_training_registers_versions(streaming, allowed):
    registered = allowed(streaming, "training", "sagemaker:CreateModelPackage")
    names = [group.inputs["modelPackageGroupName"] for group in streaming.of_type(PACKAGES)]
    assert {arn.partition(":model-package/")[2] for arn in registered} == {f"{name}/*" for name in names}
    for purpose in ("ingest", "serving", "monitoring"):
        assert not allowed(streaming, purpose, "sagemaker:CreateModelPackage")


def test_experiments_are_kept_in_the_models_zone_under_the_training_identity(house):
    (tracker,) = house.of_type("aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer")
    assert re.fullmatch(r"s3://fraud-detection-models-[0-9a-f]+/experiments", tracker.inputs["artifactStoreUri"])
    assert tracker.inputs["roleArn"] == "arn:aws:iam::210987654321:role/house-training"
    assert tracker.inputs["automaticModelRegistration"] is False


def test_only_training_logs_experiments(streaming, allowed):
    (tracker,) = allowed(streaming, "training", "sagemaker-mlflow:LogMetric")
    assert ":mlflow-tracking-server/fraud-detection-" in tracker
    for purpose in ("ingest", "serving", "monitoring"):
        assert not allowed(streaming, purpose, "sagemaker-mlflow:LogMetric")


def test_training_runs_under_its_identity_with_key_and_network(house, named):
    pipeline = named(house, PIPELINE, "fraud-detection-training").inputs
    assert pipeline["roleArn"] == "arn:aws:iam::210987654321:role/house-training"
    (step,) = json.loads(pipeline["pipelineDefinition"])["Steps"]
    arguments = step["Arguments"]
    assert arguments["RoleArn"] == "arn:aws:iam::210987654321:role/house-training"
    assert arguments["ResourceConfig"]["VolumeKmsKeyId"] == arguments["OutputDataConfig"]["KmsKeyId"] == KEY
    assert arguments["VpcConfig"]["Subnets"] == ["subnet-0123456789abcdef1", "subnet-0123456789abcdef2"]
    (group,) = arguments["VpcConfig"]["SecurityGroupIds"]
    (rule,) = house.of_type("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    assert group == rule.inputs["securityGroupId"]


def test_training_reads_what_the_feature_job_writes_and_leaves_candidates(streaming, named):
    definition = named(streaming, PIPELINE, "fraud-detection-training").inputs["pipelineDefinition"]
    (step,) = json.loads(definition)["Steps"]
    (channel,) = step["Arguments"]["InputDataConfig"]
    table = named(streaming, "aws:glue/catalogTable:CatalogTable", "fraud-detection-features").inputs
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == table["storageDescriptor"]["location"]
    written = step["Arguments"]["OutputDataConfig"]["S3OutputPath"]
    assert re.fullmatch(r"s3://fraud-detection-models-[0-9a-f]+/candidates", written)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("ml-serving", r"123456789012\.dkr\.ecr\.eu-west-1\.amazonaws\.com/credit-scoring-[0-9a-f]{8}/ml-serving"),
        ("registry.example.com/house/scorer", r"registry\.example\.com/house/scorer"),
    ],
    ids=["ours", "theirs"],
)
def test_training_runs_the_image_of_the_settings(once, named, given, used):
    digest = f"sha256:{'0a' * 32}"
    built = once("credit_scoring", serving_image=f"{given}@{digest}")
    definition = named(built, PIPELINE, "credit-scoring-training").inputs["pipelineDefinition"]
    (step,) = json.loads(definition)["Steps"]
    image = step["Arguments"]["AlgorithmSpecification"]["TrainingImage"]
    assert re.fullmatch(f"{used}@{digest}", image)


def test_pipelines_start_jobs_of_their_own_and_pass_on_the_training_identity_only(streaming, rights, allowed):
    for action in ("sagemaker:CreateTrainingJob", "sagemaker:CreateTransformJob"):
        (jobs,) = allowed(streaming, "training", action)
        assert jobs.endswith("-job/pipelines-*")
    (passing,) = [statement for statement in rights(streaming, "training") if "iam:PassRole" in statement["Action"]]
    (role,) = passing["Resource"]
    assert ":role/fraud-detection-training-" in role
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    for purpose in ("ingest", "serving"):
        assert not allowed(streaming, purpose, "iam:PassRole")


def test_monitoring_passes_the_identity_that_ingests_to_the_feature_job_only(streaming, rights):
    (passing,) = [statement for statement in rights(streaming, "monitoring") if "iam:PassRole" in statement["Action"]]
    (role,) = passing["Resource"]
    assert ":role/fraud-detection-ingest-" in role
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}}
