"""Budgets and whom they warn, ceilings of what is paid by use, and what goes on costing when nobody thinks of it."""

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
    equals,
    judged,
    none_of,
    number,
    one_of,
    present,
    some,
    when,
)
from ml_policies.relations import anywhere, related
from ml_policies.resource import MISSING, UNKNOWN
from ml_policies.rule import Parameter, Relation, Rule, Severity
from ml_policies.rules.cost.machines import MODEL_GARDEN, NOTEBOOK, PERSISTENT, PIPELINE, WORKBENCH, few

AWS_BUDGET = "aws:budgets/budget:Budget"
GCP_BUDGET = "gcp:billing/budget:Budget"
AZURE_BUDGET = "azure-native:consumption:Budget"

# What money is spent by, and the budget that must be beside it.
_SPENDERS = {
    **dict.fromkeys((PIPELINE, NOTEBOOK, "aws:sagemaker/endpoint:Endpoint", "aws:sagemaker/domain:Domain"), AWS_BUDGET),
    **dict.fromkeys(
        (
            MODEL_GARDEN,
            PERSISTENT,
            WORKBENCH,
            "gcp:vertex/aiEndpoint:AiEndpoint",
            "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore",
            "gcp:vertex/aiTensorboard:AiTensorboard",
        ),
        GCP_BUDGET,
    ),
    "azure-native:machinelearningservices:Workspace": AZURE_BUDGET,
}


def _budgeted(budget: str) -> Relation:
    return related(anywhere(budget), f"a budget ({budget}) in the stack")


def _azure_warns(scope: Scope) -> Iterator[Result]:
    """At least one of the notifications, which have names and aren't a list, is enabled and reaches somebody."""
    ((path, notifications),) = scope.values("notifications")
    if notifications is UNKNOWN:
        yield Undecided(path)
        return
    opened = False
    reaches = any_of(present("contactEmails"), present("contactGroups"), present("contactRoles"))
    check = all_of(equals("enabled", True), reaches)
    for name, notification in notifications.items() if isinstance(notifications, Mapping) else ():
        inside = scope.inside(f"{path}.{name}", notification)
        results = [Undecided(inside.path)] if notification is UNKNOWN else list(check(inside))
        if not results:
            return
        opened = opened or all(isinstance(result, Undecided) for result in results)
    yield Undecided(path) if opened else Wrong(path, MISSING, "a notification that is enabled and reaches somebody")


def _ends(path: str, default: Any = MISSING, source: str = "") -> Check:
    """A number of days from 1 to the parameter `days`."""

    def wrong(value: Any, parameters: Mapping[str, Any]) -> str | None:
        return None if 0 < number(value, 0) <= parameters["days"] else f"an end after 1 to {parameters['days']} days"

    return judged(path, wrong, default, source)


def _positive(path: str) -> Check:
    """A number above 0; Azure and AWS take -1 for no ceiling."""
    return judged(path, lambda value, _: None if number(value, 0) > 0 else "a ceiling above 0")


RULES = (
    Rule(
        "MLB-CST-006",
        "Where models are trained or served, there is a budget.",
        Severity.MEDIUM,
        "Add a budget for what the stack spends.",
        relations={type_: _budgeted(budget) for type_, budget in _SPENDERS.items()},
    ),
    Rule(
        "MLB-CST-007",
        "A budget warns somebody before it is spent.",
        Severity.MEDIUM,
        "Give the budget thresholds, and people, groups or topics that are told.",
        checks={
            AWS_BUDGET: some(
                "notifications[]",
                any_of(present("subscriberEmailAddresses"), present("subscriberSnsTopicArns")),
                "a notification with a subscriber",
            ),
            GCP_BUDGET: all_of(
                some("thresholdRules[]", present("thresholdPercent"), "a threshold"),
                any_of(
                    equals(
                        "allUpdatesRule.disableDefaultIamRecipients",
                        False,
                        default=False,
                        source="https://cloud.google.com/billing/docs/how-to/budgets-notification-recipients",
                    ),
                    present("allUpdatesRule.monitoringNotificationChannels"),
                    present("allUpdatesRule.pubsubTopic"),
                ),
            ),
            AZURE_BUDGET: _azure_warns,
        },
    ),
    Rule(
        "MLB-CST-008",
        "Logs end some day.",
        Severity.LOW,
        "Set the days after which logs are deleted.",
        checks={
            "aws:cloudwatch/logGroup:LogGroup": when(
                none_of("logGroupClass", ("DELIVERY",)),
                # Without it, CloudWatch Logs keeps them for ever.
                _ends("retentionInDays"),
            ),
            "gcp:logging/projectBucketConfig:ProjectBucketConfig": _ends(
                "retentionDays",
                default=30,
                source="https://cloud.google.com/logging/docs/buckets#custom-retention",
            ),
            "azure-native:applicationinsights:Component": _ends(
                "retentionInDays",
                default=90,
                source="https://learn.microsoft.com/azure/azure-monitor/app/create-workspace-resource",
            ),
            "azure-native:operationalinsights:Workspace": _ends(
                "retentionInDays",
                default=30,
                source="https://learn.microsoft.com/azure/azure-monitor/logs/data-retention-configure",
            ),
        },
        parameters={"days": Parameter(3653, {"type": "integer", "minimum": 1}, "The most days that logs are kept.")},
        references=("checkov:CKV_AWS_66",),
        differs={"checkov:CKV_AWS_66": "It lets 0 pass, which means for ever."},
    ),
    Rule(
        "MLB-CST-009",
        "Throughput that is paid by use has a ceiling.",
        Severity.MEDIUM,
        "Set the most that the table, the namespace, the account or the reservation may grow to.",
        checks={
            "aws:dynamodb/table:Table": when(
                equals("billingMode", "PAY_PER_REQUEST"),
                all_of(
                    _positive("onDemandThroughput.maxReadRequestUnits"),
                    _positive("onDemandThroughput.maxWriteRequestUnits"),
                ),
            ),
            "gcp:bigtable/instance:Instance": few("clusters[].autoscalingConfig.maxNodes", optional=True),
            "gcp:bigquery/reservation:Reservation": when(present("autoscale"), _positive("autoscale.maxSlots")),
            "azure-native:cosmosdb:DatabaseAccount": _positive("capacity.totalThroughputLimit"),
            "azure-native:eventhub:Namespace": when(
                equals("isAutoInflateEnabled", True),
                all_of(_positive("maximumThroughputUnits"), few("maximumThroughputUnits")),
            ),
        },
        parameters={"most": Parameter(20, {"type": "integer", "minimum": 1}, "The most nodes or units of throughput.")},
    ),
    Rule(
        "MLB-CST-010",
        "Broken uploads and what was overwritten or deleted are cleared away.",
        Severity.LOW,
        "Add lifecycle rules that end unfinished uploads and old versions.",
        checks={
            "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": all_of(
                some(
                    "rules[]",
                    all_of(equals("status", "Enabled"), present("abortIncompleteMultipartUpload.daysAfterInitiation")),
                    "an enabled rule that ends unfinished uploads",
                ),
                some(
                    "rules[]",
                    all_of(equals("status", "Enabled"), present("noncurrentVersionExpiration.noncurrentDays")),
                    "an enabled rule that deletes old versions",
                ),
            ),
            "gcp:storage/bucket:Bucket": all_of(
                some(
                    "lifecycleRules[]",
                    equals("action.type", "AbortIncompleteMultipartUpload"),
                    "a rule that ends unfinished uploads",
                ),
                when(
                    equals("versioning.enabled", True),
                    some(
                        "lifecycleRules[]",
                        all_of(
                            equals("action.type", "Delete"),
                            any_of(
                                present("condition.daysSinceNoncurrentTime"),
                                present("condition.numNewerVersions"),
                                one_of("condition.withState", ("ARCHIVED",)),
                            ),
                        ),
                        "a rule that deletes old versions",
                    ),
                ),
            ),
            # Azure ends unfinished uploads by itself after a week.
            # https://learn.microsoft.com/rest/api/storageservices/put-block#remarks
            "azure-native:storage:BlobServiceProperties": when(
                equals("deleteRetentionPolicy.enabled", True), _ends("deleteRetentionPolicy.days")
            ),
        },
        parameters={"days": Parameter(90, {"type": "integer", "minimum": 7}, "The most days that deleted blobs stay.")},
        references=("checkov:CKV_AWS_300",),
    ),
)
