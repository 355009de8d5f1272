"""The delivery layer on AWS: whose tokens are trusted, and what the deploy role may do."""

import json

import pytest

ROLE = "aws:iam/role:Role"
ISSUER = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"


def with_provider(once, provider: str, **delivery: object):
    return once("credit_scoring", delivery={"provider": provider, "repository": "example/ml-platform", **delivery})


@pytest.mark.parametrize(
    ("provider", "issuer", "audience", "subject"),
    [
        (
            "github",
            "token.actions.githubusercontent.com",
            "sts.amazonaws.com",
            "repo:example/ml-platform:environment:production",
        ),
        ("gitlab", "gitlab.com", "https://gitlab.com", "project_path:example/ml-platform:ref_type:branch:ref:main"),
    ],
)
def test_only_workflows_of_the_repository_assume_the_deploy_role(once, named, provider, issuer, audience, subject):
    built = with_provider(once, provider)
    role = named(built, ROLE, "credit-scoring-deployer").inputs
    assert json.loads(role["assumeRolePolicy"])["Statement"] == [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{issuer}"},
            "Condition": {"StringEquals": {f"{issuer}:aud": audience, f"{issuer}:sub": subject}},
        }
    ]
    assert role["maxSessionDuration"] == 3600
    assert built.platform.delivery.issuer == f"https://{issuer}"


@pytest.mark.parametrize("environment", ["experiment", "staging", "production"])
def test_each_environment_has_its_own_trust(once, experiment, named, environment):
    built = experiment("churn") if environment == "experiment" else once("churn", environment=environment)
    role = named(built, ROLE, "churn-deployer").inputs
    (trust,) = json.loads(role["assumeRolePolicy"])["Statement"]
    assert trust["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"].endswith(
        f":environment:{environment}"
    )


@pytest.mark.parametrize(
    ("provider", "url", "audience"),
    [
        ("github", "https://token.actions.githubusercontent.com", "sts.amazonaws.com"),
        ("gitlab", "https://gitlab.com", "https://gitlab.com"),
    ],
)
def test_the_issuer_is_registered_where_this_stack_is_the_one_to_do_so(once, named, provider, url, audience):
    built = with_provider(once, provider, create_issuer=True)
    (issuer,) = built.of_type(ISSUER)
    assert issuer.inputs["url"] == url
    assert issuer.inputs["clientIdLists"] == [audience]
    assert issuer.urn in named(built, ROLE, "credit-scoring-deployer").depends_on


def test_an_issuer_that_the_account_knows_is_not_registered_again(streaming):
    assert not streaming.of_type(ISSUER)


def test_the_deploy_role_pushes_images_and_changes_the_pipelines_that_train_only(streaming, named):
    grant = named(streaming, "aws:iam/rolePolicy:RolePolicy", "fraud-detection-deployer").inputs
    assert grant["role"].startswith("fraud-detection-deployer-")
    token, images, pipeline = json.loads(grant["policy"])["Statement"]
    assert token["Action"] == ["ecr:GetAuthorizationToken"]
    (repository,) = images["Resource"]
    assert repository.endswith("/ml-serving")
    assert {"ecr:PutImage", "ecr:UploadLayerPart"} <= set(images["Action"])
    assert all(action.startswith("ecr:") and "Delete" not in action for action in images["Action"])
    assert pipeline["Action"] == [
        "sagemaker:DescribePipeline",
        "sagemaker:StartPipelineExecution",
        "sagemaker:UpdatePipeline",
    ]
    changed = [arn.partition(":pipeline/")[2].rpartition("-")[0] for arn in pipeline["Resource"]]
    assert changed == ["fraud-detection-training", "fraud-detection-retraining"]
