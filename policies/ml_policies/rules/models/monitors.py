"""Monitors of what models are asked and answer: drift, capture, bias, and where their findings lead."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ml_policies.checks import (
    Check,
    Result,
    Scope,
    Undecided,
    Wrong,
    all_of,
    any_of,
    at_least,
    equals,
    matches,
    mentions,
    none_of,
    one_of,
    present,
    some,
)
from ml_policies.relations import (
    anywhere,
    chain,
    dependencies,
    dependents,
    either,
    itself,
    naming,
    one_relation,
    related,
    where,
)
from ml_policies.resource import MISSING, UNKNOWN, Resource, Stack
from ml_policies.rule import Relation, Rule, Severity
from ml_policies.rules.models.alarms import (
    ALERT_POLICY,
    FAILED_RUNS,
    METRIC_ALARM,
    TOPIC,
    aws_alarm,
    azure_alarm,
    gcp_alarm,
    of_workspace,
    scores_in_batches,
    subscribed,
    topic_is_heard,
    workflow_scores,
)
from ml_policies.scoring import (
    AWS_CONFIGURATION,
    AWS_ENDPOINT,
    AWS_MODEL,
    AWS_PIPELINE,
    AZURE_BATCH_ENDPOINT,
    AZURE_DEPLOYMENT,
    AZURE_ENDPOINT,
    AZURE_SCHEDULE,
    AZURE_WORKSPACE,
    GCP_ENDPOINT,
    GCP_SERVICE,
    GCP_WORKFLOW,
    models_on,
    of_scorers,
)

SCHEDULE = "aws:sagemaker/monitoringSchedule:MonitoringSchedule"
DEFINITION = "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition"
EVENT_RULE = "aws:cloudwatch/eventRule:EventRule"
EVENT_TARGET = "aws:cloudwatch/eventTarget:EventTarget"
STARTED_BY_TIME = "aws:scheduler/schedule:Schedule"
RUN_JOB = "gcp:cloudrunv2/job:Job"
SCHEDULER_JOB = "gcp:cloudscheduler/job:Job"
TRIGGER = "gcp:eventarc/trigger:Trigger"
PUBSUB_TOPIC = "gcp:pubsub/topic:Topic"
EVENT_SUBSCRIPTIONS = (
    "azure-native:eventgrid:SystemTopicEventSubscription",
    "azure-native:eventgrid:EventSubscription",
)
# Where Google Cloud keeps what was asked and answered.
_KEPT_IN = ("gcp:storage/bucket:Bucket", "gcp:bigquery/dataset:Dataset", "gcp:bigquery/table:Table")

_NO_MONITOR = "no scheduled monitor looks for drift in what it is asked"
_DRIFT = r"(?i)drift|skew|model_?monitor|modelDeploymentMonitoring"
_PROBLEMS = ("ModelBias", "ModelExplainability")
_BIAS = r"(?i)bias|fairness|explain|attribution"


def _watched_by(kinds: tuple[str, ...]) -> Check:
    """A monitoring schedule of some kinds that runs again and again."""
    return all_of(
        one_of("monitoringScheduleConfig.monitoringType", kinds),
        present("monitoringScheduleConfig.scheduleConfig.scheduleExpression"),
        none_of("monitoringScheduleConfig.scheduleConfig.scheduleExpression", ["NOW"]),
    )


_schedules = either(
    dependents(SCHEDULE),
    chain(
        naming(DEFINITION, "dataQualityJobInput.endpointInput.endpointName", "name"),
        either(dependents(SCHEDULE), naming(SCHEDULE, "monitoringScheduleConfig.monitoringJobDefinitionName", "name")),
    ),
    naming(
        SCHEDULE, "monitoringScheduleConfig.monitoringJobDefinition.monitoringInputs.endpointInput.endpointName", "name"
    ),
)
_data_monitor = _watched_by(("DataQuality", "ModelQuality"))

_starts_it = related(dependents(SCHEDULER_JOB, TRIGGER), "nothing starts it")


# Where what is asked is kept: by a service, an endpoint, or the models that are deployed on one.
_kept_in = either(dependencies(*_KEPT_IN), chain(models_on, dependencies(*_KEPT_IN)))


def _gcp_watch(pattern: str, lacking: str) -> Relation:
    """What a service or an endpoint is asked is read, on a schedule, by something that speaks of what is looked for."""
    return one_relation(
        related(
            either(dependents(GCP_WORKFLOW), chain(_kept_in, dependents(GCP_WORKFLOW))),
            lacking,
            mentions("sourceContents", pattern, lacking),
            _starts_it,
        ),
        related(
            either(dependents(RUN_JOB), chain(_kept_in, dependents(RUN_JOB))),
            lacking,
            mentions("template", pattern, lacking),
            _starts_it,
        ),
        related(
            dependents(SCHEDULER_JOB),
            lacking,
            matches("httpTarget.uri", r"https://[\w.-]*aiplatform.*[mM]odel(Deployment)?Monitor.*", lacking),
        ),
    )


_CHECK = r"-m ml_pipelines\.steps\.drift(?!\w)"
_runs_check: Check = all_of(
    equals("properties.action.actionType", "CreateJob"),
    mentions("properties.action.jobDefinition.command", _CHECK, "a look for drift"),
)
# Azure's own monitor, or a job that looks for drift.
creates_monitor: Check = all_of(
    any_of(equals("properties.action.actionType", "CreateMonitor"), _runs_check),
    none_of("properties.isEnabled", [False]),
)


def _azure_watch(*checks: Check) -> Relation:
    """A monitor names the endpoint or one of its deployments, or the data that were collected under their names."""

    def judged(resource: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
        named = [resource.properties.get("endpointName")]
        named += [one.properties.get("deploymentName") for one in _deployments(resource, stack)]
        names = "|".join(re.escape(name) for name in named if isinstance(name, str) and name)
        name = rf"(?<![\w-])({names})(?!\w)"
        is_of_it = any_of(
            mentions("properties.action.monitorDefinition", name, "the endpoint's data"),
            mentions("properties.action.jobDefinition.inputs", name, "the endpoint's data"),
            mentions("properties.action.jobDefinition.command", name, "the endpoint's data"),
        )
        checks_of_it = (creates_monitor, is_of_it, *checks) if names else (creates_monitor, *checks)
        yield from related(anywhere(AZURE_SCHEDULE), _NO_MONITOR, all_of(*checks_of_it))(resource, stack, parameters)

    return judged


_deployments = either(dependents(AZURE_DEPLOYMENT), naming(AZURE_DEPLOYMENT, "endpointName", "endpointName"))


def _signals(*kinds: str) -> Check:
    return mentions("properties.action.monitorDefinition.signals", rf"^({'|'.join(kinds)})$", "a signal")


# A pipeline that looks for drift by a step of its own, and is started again and again. The baseline that training
# leaves (`drift_baseline`, `drift-baseline`) is no look.
looks_for_drift = mentions("pipelineDefinition", r"(?i)(?<![\w-])drift(?![\w-])", "a look for drift")
_by_time = related(dependents(STARTED_BY_TIME), "nothing starts it")

# Where answers of a queue lie, or a container keeps what it is asked: SageMaker captures nothing there.
_KEPT_BY = {
    AWS_CONFIGURATION: "asyncInferenceConfig.outputConfig.s3OutputPath",
    AWS_MODEL: "primaryContainer.environment.CAPTURED",
}


def _kept_is_read(resource: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
    """What an endpoint without data capture keeps in a place of its own is read there by a look for drift."""
    places = []
    for one in stack.dependencies(resource, *_KEPT_BY):
        for path, place in Scope(one, one.properties).values(_KEPT_BY[one.type]):
            if place is UNKNOWN:
                yield Undecided(f"{one.name}: {path}")
                return
            places += [place.rstrip("/")] if isinstance(place, str) and place.strip("/") else []
    if not places:
        yield Wrong("", MISSING, _NO_MONITOR)
        return
    within = rf"({'|'.join(map(re.escape, places))})(?![\w.-])"
    looks = all_of(looks_for_drift, mentions("pipelineDefinition", within, "what the endpoint keeps"))
    yield from related(anywhere(AWS_PIPELINE), _NO_MONITOR, looks, _by_time)(resource, stack, parameters)


# A monitor of whatever is scored in batches: it reads what was left in storage, which names nothing.
_any_monitor = one_relation(
    related(anywhere(SCHEDULE), _NO_MONITOR, _data_monitor),
    related(anywhere(AWS_PIPELINE), _NO_MONITOR, looks_for_drift, _by_time),
)
_any_workflow = related(anywhere(GCP_WORKFLOW), _NO_MONITOR, mentions("sourceContents", _DRIFT, "drift"), _starts_it)
_monitor_of_workspace = related(
    chain(dependencies(AZURE_WORKSPACE), dependents(AZURE_SCHEDULE)), _NO_MONITOR, creates_monitor
)

# Where findings lead on AWS: a rule on the monitor's events, or an alarm on its metrics.
_rules = either(dependents(EVENT_RULE), naming(EVENT_RULE, "eventPattern", "name"))
_targets = either(dependents(EVENT_TARGET), naming(EVENT_TARGET, "rule", "name"))
# Of the job of a monitor: one that found something has ended, one that failed hasn't looked.
# https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-interpreting-results.html
_found = mentions("eventPattern", r"Completed", "an event of a job that found something")
_alarms_of_monitor = naming(METRIC_ALARM, "dimensions.MonitoringSchedule", "name")
# A pipeline that looks fails where it finds something.
# https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
_run_failed = all_of(
    mentions("eventPattern", r"Pipeline Execution (Step )?Status Change", "an event of a run"),
    mentions("eventPattern", r"Failed", "an event of a run that failed"),
)
_alarms_of_runs = either(
    naming(METRIC_ALARM, "dimensions.PipelineName", "pipelineName"),
    naming(METRIC_ALARM, "metricQueries[].metric.dimensions.PipelineName", "pipelineName"),
)

_trains_aws = related(
    dependencies(AWS_PIPELINE),
    "it starts no training",
    mentions("pipelineDefinition", r'"Type":\s*"Training"', "training"),
)
_trains_gcp = related(
    dependencies(GCP_WORKFLOW),
    "it starts no training",
    mentions("sourceContents", r"trainingPipelines|pipelineJobs|\btrain\b", "training"),
)
_NO_RETRAINING = "nothing that it finds can start training, and nor does a schedule"
_NOBODY = "nobody is told of what it finds"
_NO_BIAS = "no scheduled monitor looks for bias in its predictions or explains them"
_SILENT = "nobody learns of it when it fails"

_is_drift_workflow = mentions("sourceContents", _DRIFT, "drift")
_watches_drift_topic = chain(dependencies(PUBSUB_TOPIC), dependents(ALERT_POLICY))
_failed = mentions("eventPattern", r"Failed|Stopped", "an event of a job that failed")
_RISKY = ("high",)


def _told(event: Check, lacking: str) -> Relation:
    """A rule on the monitor's events tells a topic that somebody is subscribed to."""
    heard = related(dependencies(TOPIC), lacking, then=subscribed)
    return related(_rules, lacking, event, related(_targets, lacking, then=heard))


def _where_risky(path: str, relation: Relation) -> Relation:
    return where(one_of(path, _RISKY), relation)


RULES = (
    Rule(
        "MLB-MOD-001",
        "Every endpoint has a scheduled monitor that looks for drift in what it is asked.",
        Severity.HIGH,
        "Add a monitoring schedule on the data that the endpoint captures.",
        relations={
            AWS_ENDPOINT: one_relation(
                related(_schedules, _NO_MONITOR, _data_monitor),
                related(
                    either(dependents(AWS_PIPELINE), naming(AWS_PIPELINE, "pipelineDefinition", "name")),
                    _NO_MONITOR,
                    looks_for_drift,
                    _by_time,
                ),
                _kept_is_read,
            ),
            GCP_ENDPOINT: one_relation(
                _gcp_watch(_DRIFT, _NO_MONITOR),
                # https://cloud.google.com/monitoring/api/metrics_gcp_a_b#gcp-aiplatform
                related(dependents(ALERT_POLICY), _NO_MONITOR, mentions("conditions", r"model_monitoring/", "drift")),
            ),
            GCP_SERVICE: of_scorers(_gcp_watch(_DRIFT, _NO_MONITOR)),
            AZURE_ENDPOINT: _azure_watch(),
        },
        references=("prowler:sagemaker_models_monitor_enabled",),
    ),
    Rule(
        "MLB-MOD-002",
        "What is scored in batches is watched for drift.",
        Severity.MEDIUM,
        "Add a scheduled monitor on the data that the batch scoring leaves.",
        relations={
            AWS_PIPELINE: where(scores_in_batches, _any_monitor),
            GCP_WORKFLOW: where(workflow_scores, _any_workflow),
            AZURE_BATCH_ENDPOINT: _monitor_of_workspace,
        },
    ),
    Rule(
        "MLB-MOD-003",
        "Endpoints keep what they are asked and what they answer.",
        Severity.HIGH,
        "Switch data capture on, for inputs and for outputs.",
        checks={
            AWS_CONFIGURATION: any_of(
                all_of(
                    equals(
                        "dataCaptureConfig.enableCapture",
                        True,
                        default=False,
                        source="https://www.pulumi.com/registry/packages/aws/api-docs/sagemaker/endpointconfiguration/",
                    ),
                    at_least("dataCaptureConfig.initialSamplingPercentage", 1),
                    some(
                        "dataCaptureConfig.captureOptions[]",
                        one_of("captureMode", ("Input", "InputAndOutput")),
                        "the input",
                    ),
                    some(
                        "dataCaptureConfig.captureOptions[]",
                        one_of("captureMode", ("Output", "InputAndOutput")),
                        "the output",
                    ),
                ),
                # What may wait is an object that is asked with, and one that is answered with.
                # https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference.html
                present("asyncInferenceConfig.outputConfig.s3OutputPath"),
            ),
            AZURE_DEPLOYMENT: all_of(
                *(
                    equals(
                        f"properties.dataCollector.collections.{collection}.dataCollectionMode",
                        "Enabled",
                        default="Disabled",
                        source="https://learn.microsoft.com/azure/machine-learning/how-to-collect-production-data",
                    )
                    for collection in ("model_inputs", "model_outputs")
                )
            ),
        },
        relations={
            # By the platform, or by the container itself where it says so.
            GCP_ENDPOINT: one_relation(
                itself(
                    all_of(
                        equals(
                            "predictRequestResponseLoggingConfig.enabled",
                            True,
                            default=False,
                            source="https://cloud.google.com/vertex-ai/docs/predictions/online-prediction-logging",
                        ),
                        at_least("predictRequestResponseLoggingConfig.samplingRate", 0.01),
                    )
                ),
                related(models_on, "nothing that is deployed on it does", present("container.environment.CAPTURED")),
            ),
        },
    ),
    Rule(
        "MLB-MOD-004",
        "What a drift monitor finds can start training again.",
        Severity.MEDIUM,
        "Let an event of the monitor, or a schedule, start the pipeline that trains.",
        relations={
            SCHEDULE: one_relation(
                related(_rules, _NO_RETRAINING, _found, related(_targets, _NO_RETRAINING, then=_trains_aws)),
                related(anywhere(STARTED_BY_TIME), _NO_RETRAINING, then=_trains_aws),
            ),
            AWS_PIPELINE: where(
                looks_for_drift,
                # Of a tenant's drift people are told; what is trained is what all ask.
                one_relation(
                    related(
                        anywhere(EVENT_RULE),
                        _NO_RETRAINING,
                        _run_failed,
                        related(_targets, _NO_RETRAINING, then=_trains_aws),
                    ),
                    related(anywhere(STARTED_BY_TIME), _NO_RETRAINING, then=_trains_aws),
                ),
            ),
            GCP_WORKFLOW: where(
                _is_drift_workflow,
                one_relation(
                    related(anywhere(TRIGGER, SCHEDULER_JOB), _NO_RETRAINING, then=_trains_gcp),
                    _trains_gcp,
                ),
            ),
            AZURE_SCHEDULE: where(
                creates_monitor,
                one_relation(
                    related(
                        chain(dependencies(AZURE_WORKSPACE), dependents(*EVENT_SUBSCRIPTIONS)),
                        _NO_RETRAINING,
                        mentions("filter", r"RunStatusChanged|DatasetDriftDetected", "the event of a monitor"),
                    ),
                    # A job that looks for drift leaves a report, which is an event of the storage that it lies in.
                    related(
                        anywhere(*EVENT_SUBSCRIPTIONS),
                        _NO_RETRAINING,
                        all_of(
                            mentions("filter.includedEventTypes", r"BlobCreated", "the event of a report"),
                            mentions("filter", r"(?i)drift", "the report of a monitor"),
                        ),
                    ),
                    related(
                        anywhere(AZURE_SCHEDULE),
                        _NO_RETRAINING,
                        all_of(
                            equals("properties.action.actionType", "CreateJob"),
                            mentions("properties.action.jobDefinition", r"(?i)train", "training"),
                        ),
                    ),
                ),
            ),
        },
    ),
    Rule(
        "MLB-MOD-005",
        "What a drift monitor finds is told to people.",
        Severity.HIGH,
        "Send the monitor's findings to the owner: by a rule on its events, an alarm, or its own mails.",
        relations={
            SCHEDULE: one_relation(
                _told(_found, _NOBODY),
                aws_alarm(_alarms_of_monitor, (r"feature_baseline_drift",), _NOBODY),
            ),
            AWS_PIPELINE: where(
                looks_for_drift,
                one_relation(_told(_run_failed, _NOBODY), aws_alarm(_alarms_of_runs, ("ExecutionFailed",), _NOBODY)),
            ),
            GCP_WORKFLOW: where(_is_drift_workflow, gcp_alarm(_watches_drift_topic, r".", _NOBODY)),
            AZURE_SCHEDULE: where(
                creates_monitor,
                itself(
                    any_of(
                        present(
                            "properties.action.monitorDefinition.alertNotificationSettings.emailNotificationSettings"
                            ".emails"
                        ),
                        present("properties.action.jobDefinition.notificationSetting.emails"),
                    )
                ),
            ),
        },
    ),
    Rule(
        "MLB-MOD-009",
        "A monitor that fails or falls silent raises an alarm.",
        Severity.MEDIUM,
        "Add an alarm on the monitor's failed runs: a model that nobody watches looks like one without drift.",
        relations={
            SCHEDULE: one_relation(
                _told(_failed, _SILENT),
                related(_alarms_of_monitor, _SILENT, equals("treatMissingData", "breaching"), topic_is_heard),
            ),
            # A run that ends, however it ends, isn't silent; one that never began is.
            AWS_PIPELINE: where(
                looks_for_drift,
                related(
                    _alarms_of_runs,
                    _SILENT,
                    all_of(equals("treatMissingData", "breaching"), present("alarmActions")),
                    topic_is_heard,
                ),
            ),
            GCP_WORKFLOW: where(
                _is_drift_workflow,
                gcp_alarm(naming(ALERT_POLICY, "conditions", "name"), r"(?i)failed|conditionAbsent", _SILENT),
            ),
            AZURE_SCHEDULE: where(creates_monitor, azure_alarm(of_workspace, FAILED_RUNS, _SILENT)),
        },
    ),
    Rule(
        "MLB-MOD-010",
        "Where a model is tagged as of high risk, its predictions are watched for bias or explained.",
        Severity.HIGH,
        "Add a monitor of bias or of the explanations of predictions to what has the tag `risk: high`.",
        relations={
            AWS_ENDPOINT: _where_risky("tags.risk", related(_schedules, _NO_BIAS, _watched_by(_PROBLEMS))),
            GCP_ENDPOINT: _where_risky("labels.risk", _gcp_watch(_BIAS, _NO_BIAS)),
            GCP_SERVICE: of_scorers(_where_risky("labels.risk", _gcp_watch(_BIAS, _NO_BIAS))),
            AZURE_ENDPOINT: _where_risky("tags.risk", _azure_watch(_signals("FeatureAttributionDrift", "Custom"))),
        },
        references=("prowler:sagemaker_clarify_exists",),
        differs={
            "prowler:sagemaker_clarify_exists": "Prowler is content with any Clarify job in a region; we ask for a "
            "monitor of each endpoint whose owner says that it is of high risk."
        },
    ),
)
