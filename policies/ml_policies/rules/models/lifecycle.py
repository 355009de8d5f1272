"""The way of a model: trained by a pipeline, tracked, approved, tried on few requests, taken back when it fails."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml_policies.checks import (
    Check,
    Result,
    all_of,
    any_of,
    equals,
    judged,
    matches,
    mentions,
    none_of,
    one_of,
    present,
    some,
    texts_in,
    when,
)
from ml_policies.relations import (
    anywhere,
    dependencies,
    dependents,
    either,
    itself,
    naming,
    one_relation,
    related,
    where,
)
from ml_policies.resource import Resource, Stack
from ml_policies.rule import Rule, Severity
from ml_policies.rules.models.registry import COGNITIVE_DEPLOYMENT, MODEL_CONTAINER, PACKAGE_GROUP, REPOSITORY
from ml_policies.scoring import (
    AWS_ENDPOINT,
    AWS_PIPELINE,
    AZURE_DEPLOYMENT,
    AZURE_ENDPOINT,
    AZURE_SCHEDULE,
    AZURE_SERVERLESS,
    GCP_ENDPOINT,
    GCP_GARDEN_ENDPOINT,
    GCP_WORKFLOW,
)

TRACKING_SERVER = "aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer"
TRACKING_APP = "aws:sagemaker/mlflowApp:MlflowApp"
TENSORBOARD = "gcp:vertex/aiTensorboard:AiTensorboard"
METADATA_STORE = "gcp:vertex/aiMetadataStore:AiMetadataStore"
DELIVERY_PIPELINE = "gcp:clouddeploy/deliveryPipeline:DeliveryPipeline"
AUTOMATION = "gcp:clouddeploy/automation:Automation"
DELIVERY_TARGET = "gcp:clouddeploy/target:Target"
COMPONENT_VERSION = "azure-native:machinelearningservices:ComponentVersion"
JOB = "azure-native:machinelearningservices:Job"
TEMPLATE = "azure-native:resources:Deployment"
AGENT = "aws:bedrock/agentAgent:AgentAgent"

_trains_aws = mentions("pipelineDefinition", r'"Type":\s*"(Training|Tuning|AutoML)"', "a step that trains")
_trains_gcp = mentions(
    "sourceContents", r"trainingPipelines|pipelineJobs|hyperparameterTuningJobs|\btrain\b", "a call that trains"
)
_trains_azure = mentions("properties", r"(?i)train", "training")
# Pipelines of Vertex AI keep parameters and metrics of a run in the store of their lineage.
# https://cloud.google.com/vertex-ai/docs/pipelines/lineage
_TRACKED = r"(?i)tensorboard|mlflow|experiment|metadataStores"
_UNTRACKED = "nothing in the stack keeps its experiments"
_UNTRAINED = "no pipeline in the stack trains it"

_EXPERIMENTS = ("experiment", "experiments", "sandbox", "playground")


def _never(path: str, pattern: str, words: str) -> Check:
    """No text inside of the values at a path has what a regular expression looks for."""
    found = mentions(path, pattern, words)

    def wrong(value: Any, _: Mapping[str, Any]) -> str | None:
        return words if any(isinstance(text, str) and found.pattern.search(text) for text in texts_in(value)) else None

    return judged(path, wrong)


def _expires(tags: str) -> Check:
    return when(
        one_of(f"{tags}.environment", _EXPERIMENTS),
        matches(f"{tags}.expires-on", r"20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", "a date as 2030-01-31"),
    )


_deployments = either(dependents(AZURE_DEPLOYMENT), naming(AZURE_DEPLOYMENT, "endpointName", "endpointName"))
_divides = mentions("properties.template", r"^(traffic|mirrorTraffic)$", "the division of the traffic")


def divided(resource: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
    """Where several deployments are behind an endpoint, it or a template says how its traffic is divided."""
    if len(list(_deployments(resource, stack))) < 2:
        return
    relation = one_relation(
        itself(any_of(present("properties.traffic"), present("properties.mirrorTraffic"))),
        related(dependents(TEMPLATE), "it has several deployments, and nothing says how traffic is divided", _divides),
    )
    yield from relation(resource, stack, parameters)


RULES = (
    Rule(
        "MLB-MOD-016",
        "A person approves a version of a model before it is served.",
        Severity.HIGH,
        "Register versions as waiting for approval, and let the deployment wait for it.",
        checks={
            TRACKING_SERVER: equals(
                "automaticModelRegistration",
                False,
                default=False,
                source="https://www.pulumi.com/registry/packages/aws/api-docs/sagemaker/mlflowtrackingserver/",
            ),
            TRACKING_APP: equals("modelRegistrationMode", "AutoModelRegistrationDisabled"),
            AWS_PIPELINE: _never(
                "pipelineDefinition", r'"ModelApprovalStatus":\s*"Approved"', "a registration that waits for approval"
            ),
            DELIVERY_TARGET: equals(
                "requireApproval",
                True,
                default=False,
                source="https://cloud.google.com/deploy/docs/promote-release#manage_approvals_for_a_delivery_pipeline",
            ),
        },
        missing={
            "azure": "Azure Machine Learning has no approval of versions among its resources; the environment of the "
            "workflow that deploys asks for it."
        },
    ),
    Rule(
        "MLB-MOD-017",
        "Every registered model is trained by a pipeline that is declared beside it.",
        Severity.MEDIUM,
        "Declare the pipeline that trains the model, so that anybody can train it again.",
        relations={
            PACKAGE_GROUP: related(anywhere(AWS_PIPELINE), _UNTRAINED, _trains_aws),
            REPOSITORY: where(equals("format", "GENERIC"), related(anywhere(GCP_WORKFLOW), _UNTRAINED, _trains_gcp)),
            MODEL_CONTAINER: related(anywhere(COMPONENT_VERSION, JOB, AZURE_SCHEDULE), _UNTRAINED, _trains_azure),
        },
    ),
    Rule(
        "MLB-MOD-018",
        "Training is tracked: parameters and metrics of every run are kept.",
        Severity.MEDIUM,
        "Add a tracking server or a TensorBoard, or name the experiment of the job.",
        relations={
            AWS_PIPELINE: where(_trains_aws, related(anywhere(TRACKING_SERVER, TRACKING_APP), _UNTRACKED)),
            GCP_WORKFLOW: where(
                _trains_gcp,
                one_relation(
                    related(dependencies(TENSORBOARD, METADATA_STORE), _UNTRACKED),
                    itself(mentions("sourceContents", _TRACKED, "an experiment")),
                ),
            ),
        },
        checks={
            AZURE_SCHEDULE: when(
                equals("properties.action.actionType", "CreateJob"),
                none_of(
                    "properties.action.jobDefinition.experimentName",
                    ["Default", ""],
                    default="Default",
                    source="https://learn.microsoft.com/azure/templates/microsoft.machinelearningservices/workspaces/schedules",
                ),
            ),
        },
    ),
    Rule(
        "MLB-MOD-019",
        "What is made for an experiment has a date on which it goes.",
        Severity.MEDIUM,
        "Tag what is in an environment for experiments with `expires-on` and a date.",
        checks={
            AWS_ENDPOINT: _expires("tags"),
            "aws:sagemaker/notebookInstance:NotebookInstance": _expires("tags"),
            GCP_ENDPOINT: _expires("labels"),
            "gcp:workbench/instance:Instance": _expires("labels"),
            AZURE_ENDPOINT: _expires("tags"),
            "azure-native:machinelearningservices:Compute": _expires("tags"),
        },
    ),
    Rule(
        "MLB-MOD-020",
        "Language models that are served have a filter of what they take and say.",
        Severity.HIGH,
        "Add a guardrail, a content filter, or a Model Armor floor that blocks.",
        checks={
            AGENT: some("guardrailConfigurations[]", present("guardrailIdentifier"), "a guardrail"),
            # Without either, Azure has its own default filter.
            # https://learn.microsoft.com/azure/ai-foundry/openai/concepts/default-safety-policies
            COGNITIVE_DEPLOYMENT: none_of("properties.raiPolicyName", ["Microsoft.Nil", ""]),
            AZURE_SERVERLESS: none_of("properties.contentSafety.contentSafetyStatus", ["Disabled"]),
        },
        relations={
            GCP_GARDEN_ENDPOINT: related(
                anywhere("gcp:modelarmor/floorsetting:Floorsetting"),
                "no floor of Model Armor is in the stack",
                all_of(
                    equals("enableFloorSettingEnforcement", True),
                    equals("aiPlatformFloorSetting.inspectAndBlock", True),
                ),
            ),
        },
    ),
    Rule(
        "MLB-MOD-021",
        "A rollout is taken back by itself when an alarm fires or it fails.",
        Severity.HIGH,
        "Name alarms on the new version's errors that take the rollout back.",
        checks={
            AWS_ENDPOINT: some(
                "deploymentConfig.autoRollbackConfiguration.alarms[]", present("alarmName"), "an alarm that rolls back"
            ),
        },
        relations={
            DELIVERY_PIPELINE: related(
                either(dependents(AUTOMATION), naming(AUTOMATION, "deliveryPipeline", "name")),
                "no automation of it rolls back",
                all_of(
                    none_of("suspended", [True]),
                    some("rules[].repairRolloutRule.repairPhases[]", present("rollback"), "a phase that rolls back"),
                ),
            ),
        },
        missing={
            "azure": "Managed online endpoints take nothing back by themselves: their traffic is what was last "
            "declared, and who deploys moves it."
        },
    ),
    Rule(
        "MLB-MOD-022",
        "A new version is tried on a part or a copy of the requests before it takes them all.",
        Severity.MEDIUM,
        "Roll out in steps, or declare a canary's share or a shadow's copy of the traffic.",
        checks={
            AWS_ENDPOINT: any_of(
                one_of(
                    "deploymentConfig.blueGreenUpdatePolicy.trafficRoutingConfiguration.type",
                    ("CANARY", "LINEAR"),
                    default="ALL_AT_ONCE",
                    source="https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green.html",
                ),
                present("deploymentConfig.rollingUpdatePolicy"),
            ),
            DELIVERY_PIPELINE: some(
                "serialPipeline.stages[]", present("strategy.canary"), "a stage with a canary's strategy"
            ),
        },
        relations={AZURE_ENDPOINT: divided},
    ),
)
