"""What is recorded: traffic, calls, access and changes, in one place, and for long enough."""

from collections.abc import Mapping
from typing import Any

from ml_policies.checks import (
    Check,
    absent,
    all_of,
    any_of,
    each,
    equals,
    judged,
    matches,
    none_of,
    one_of,
    present,
    some,
    when,
)
from ml_policies.policy_documents import Statement, Truth, all_true, is_not
from ml_policies.relations import anywhere, belonging, dependents, itself, one_relation, related
from ml_policies.rule import Parameter, Relation, Rule, Severity
from ml_policies.rules.identity.documents import no_statement
from ml_policies.rules.identity.limits import CALLERS, NETWORKS, limited_by
from ml_policies.rules.identity.members import nobody_in_general

_REGISTRY = "https://www.pulumi.com/registry/packages/"
_TRAIL = _REGISTRY + "aws/api-docs/cloudtrail/trail/"
_LOG_ANALYTICS = "https://learn.microsoft.com/azure/azure-monitor/logs/data-retention-configure"
_NETWORK_ACCESS = "https://learn.microsoft.com/azure/azure-monitor/fundamentals/azure-monitor-network-access"

DIAGNOSTICS = "azure-native:monitor:DiagnosticSetting"
_LOG_BUCKETS = (
    "gcp:logging/projectBucketConfig:ProjectBucketConfig",
    "gcp:logging/folderBucketConfig:FolderBucketConfig",
    "gcp:logging/organizationBucketConfig:OrganizationBucketConfig",
)
_SINKS = (
    "gcp:logging/projectSink:ProjectSink",
    "gcp:logging/folderSink:FolderSink",
    "gcp:logging/organizationSink:OrganizationSink",
)
_AUDIT_CONFIGS = (
    "gcp:projects/iAMAuditConfig:IAMAuditConfig",
    "gcp:folder/iamAuditConfig:IamAuditConfig",
    "gcp:organizations/iamAuditConfig:IamAuditConfig",
)


def _audited(kind: str) -> Check:
    return some("auditLogConfigs[]", equals("logType", kind), f"logs of {kind}")


def _kept(value: Any, parameters: Mapping[str, Any]) -> str | None:
    """Days of retention, where none, 0 and -1 stand for ever."""
    days = parameters["days"]
    try:
        enough = float(value) <= 0 or float(value) >= days
    except (TypeError, ValueError):
        enough = False
    return None if enough and not isinstance(value, bool) else f"{days} days or more"


_SOME_LOG = some(
    "logs[]",
    all_of(equals("enabled", True), any_of(present("category"), present("categoryGroup"))),
    "a category of logs that is switched on",
)


def _diagnosed(name: str) -> Relation:
    """A resource of Azure has a diagnostic setting, which names it by the property that holds its name."""
    return related(
        belonging(DIAGNOSTICS, "resourceUri", name), "a DiagnosticSetting that sends its logs to a workspace", _SOME_LOG
    )


def _public(statement: Statement) -> Truth:
    return all_true((statement.everyone, is_not(limited_by(statement, {**CALLERS, **NETWORKS}))))


# The portal asks from outside of any network: who may is a matter of identities then, and never of a shared key.
def _asked_by_identities(switch: str) -> Check:
    return any_of(
        equals("publicNetworkAccessForQuery", "Disabled", default="Enabled", source=_NETWORK_ACCESS),
        equals(switch, True, default=False, source=_NETWORK_ACCESS),
    )


# A trail tells of what is done to objects only where it says so.
# https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-data-events-with-cloudtrail.html
_records_data = any_of(
    some(
        "advancedEventSelectors[]",
        some(
            "fieldSelectors[]",
            all_of(equals("field", "eventCategory"), some("equals[]", equals("", "Data"), "events of data")),
            "events of data",
        ),
        "a selector of events of data",
    ),
    some("eventSelectors[]", present("dataResources"), "a selector of events of data"),
)

_INGESTION = equals("publicNetworkAccessForIngestion", "Disabled", default="Enabled", source=_NETWORK_ACCESS)

RULES = (
    Rule(
        "MLB-LOG-001",
        "Logs are kept for a year at least.",
        Severity.MEDIUM,
        "Set the retention to a year or more; laws on high-risk AI ask for six months at least.",
        checks={
            "aws:cloudwatch/logGroup:LogGroup": judged(
                "retentionInDays", _kept, default=0, source=_REGISTRY + "aws/api-docs/cloudwatch/loggroup/"
            ),
            "aws:cloudtrail/eventDataStore:EventDataStore": judged(
                "retentionPeriod", _kept, default=2555, source=_REGISTRY + "aws/api-docs/cloudtrail/eventdatastore/"
            ),
            **dict.fromkeys(
                _LOG_BUCKETS,
                judged(
                    "retentionDays",
                    _kept,
                    default=30,
                    source="https://cloud.google.com/logging/docs/buckets#create_bucket",
                ),
            ),
            "azure-native:operationalinsights:Workspace": judged(
                "retentionInDays", _kept, default=30, source=_LOG_ANALYTICS
            ),
            "azure-native:network:FlowLog": when(
                equals(
                    "retentionPolicy.enabled",
                    True,
                    default=False,
                    source=_REGISTRY + "azure-native/api-docs/network/flowlog/",
                ),
                judged(
                    "retentionPolicy.days",
                    _kept,
                    default=0,
                    source=_REGISTRY + "azure-native/api-docs/network/flowlog/",
                ),
            ),
        },
        parameters={
            "days": Parameter(
                365, {"type": "integer", "minimum": 1}, "The least time for which logs are kept, in days."
            )
        },
        references=("checkov:CKV_AWS_66", "checkov:CKV_AWS_338", "checkov:CKV_AZURE_12"),
        differs={
            "checkov:CKV_AWS_66": "No retention fails there. AWS then keeps the logs for ever, so here it passes."
        },
    ),
    Rule(
        "MLB-LOG-002",
        "The traffic of every network is recorded.",
        Severity.MEDIUM,
        "Add a flow log of all traffic to the network, or switch it on in the subnet.",
        checks={
            "gcp:compute/subnetwork:Subnetwork": when(
                # Google records no flows of subnets that only its proxies use.
                none_of("purpose", ("REGIONAL_MANAGED_PROXY", "GLOBAL_MANAGED_PROXY", "PRIVATE_SERVICE_CONNECT")),
                present("logConfig"),
            ),
        },
        relations={
            "aws:ec2/vpc:Vpc": related(
                dependents("aws:ec2/flowLog:FlowLog"),
                "a FlowLog of all traffic",
                equals("trafficType", "ALL"),
            ),
            "azure-native:network:VirtualNetwork": related(
                dependents("azure-native:network:FlowLog"),
                "a FlowLog that is switched on",
                equals("enabled", True, default=False, source=_REGISTRY + "azure-native/api-docs/network/flowlog/"),
            ),
        },
        references=("checkov:CKV2_AWS_11", "checkov:CKV_GCP_26"),
    ),
    Rule(
        "MLB-LOG-003",
        "Audit logs leave out nobody, no region and no service, and show when they were changed.",
        Severity.HIGH,
        "Let the trail cover all regions, with validation; exempt nobody; switch on a category of logs.",
        checks={
            "aws:cloudtrail/trail:Trail": all_of(
                equals("isMultiRegionTrail", True, default=False, source=_TRAIL),
                equals("enableLogFileValidation", True, default=False, source=_TRAIL),
                equals("enableLogging", True, default=True, source=_TRAIL),
                equals("includeGlobalServiceEvents", True, default=True, source=_TRAIL),
                present("cloudWatchLogsGroupArn"),
            ),
            "aws:cloudtrail/eventDataStore:EventDataStore": equals(
                "multiRegionEnabled", True, default=True, source=_REGISTRY + "aws/api-docs/cloudtrail/eventdatastore/"
            ),
            **dict.fromkeys(
                _AUDIT_CONFIGS, each("auditLogConfigs[]", absent("exemptedMembers", "no exempted members"))
            ),
            DIAGNOSTICS: all_of(
                _SOME_LOG,
                any_of(
                    present("workspaceId"),
                    present("storageAccountId"),
                    present("eventHubAuthorizationRuleId"),
                    present("marketplacePartnerId"),
                ),
            ),
        },
        references=(
            "checkov:CKV_AWS_67",
            "checkov:CKV_AWS_36",
            "checkov:CKV_AWS_251",
            "checkov:CKV2_AWS_10",
            "checkov:CKV2_GCP_5",
        ),
    ),
    Rule(
        "MLB-LOG-004",
        "Platforms, endpoints, gateways, vaults and buses for events write their logs.",
        Severity.MEDIUM,
        "Switch on the service's logs; on Azure add a diagnostic setting that sends them to the workspace.",
        checks={
            "aws:sfn/stateMachine:StateMachine": one_of(
                "loggingConfiguration.level",
                ("ALL", "ERROR", "FATAL"),
                default="OFF",
                source="https://docs.aws.amazon.com/step-functions/latest/apireference/API_LoggingConfiguration.html",
            ),
            **dict.fromkeys(
                ("aws:apigateway/stage:Stage", "aws:apigatewayv2/stage:Stage"),
                present("accessLogSettings.destinationArn"),
            ),
            **dict.fromkeys(
                ("aws:lb/loadBalancer:LoadBalancer", "aws:alb/loadBalancer:LoadBalancer"),
                when(
                    none_of("loadBalancerType", ("gateway",)),
                    equals(
                        "accessLogs.enabled", True, default=False, source=_REGISTRY + "aws/api-docs/lb/loadbalancer/"
                    ),
                ),
            ),
            "aws:msk/cluster:Cluster": any_of(
                *(
                    equals(f"loggingInfo.brokerLogs.{place}.enabled", True)
                    for place in ("cloudwatchLogs", "s3", "firehose")
                )
            ),
            "gcp:workflows/workflow:Workflow": one_of("callLogLevel", ("LOG_ALL_CALLS", "LOG_ERRORS_ONLY")),
            **dict.fromkeys(
                (
                    "gcp:compute/backendService:BackendService",
                    "gcp:compute/regionBackendService:RegionBackendService",
                ),
                equals(
                    "logConfig.enable",
                    True,
                    default=False,
                    source="https://cloud.google.com/load-balancing/docs/https/https-logging-monitoring",
                ),
            ),
            "gcp:vertex/aiIndexEndpointDeployedIndex:AiIndexEndpointDeployedIndex": equals("enableAccessLogging", True),
            "gcp:container/cluster:Cluster": none_of(
                "loggingService",
                ("none",),
                default="logging.googleapis.com/kubernetes",
                source=_REGISTRY + "gcp/api-docs/container/cluster/",
            ),
        },
        relations={
            "azure-native:machinelearningservices:Workspace": _diagnosed("workspaceName"),
            "azure-native:machinelearningservices:OnlineEndpoint": _diagnosed("endpointName"),
            "azure-native:machinelearningservices:Registry": _diagnosed("registryName"),
            "azure-native:keyvault:Vault": _diagnosed("vaultName"),
            "azure-native:apimanagement:ApiManagementService": _diagnosed("serviceName"),
            "azure-native:app:ManagedEnvironment": _diagnosed("environmentName"),
            "azure-native:eventhub:Namespace": _diagnosed("namespaceName"),
            "azure-native:servicebus:Namespace": _diagnosed("namespaceName"),
            "azure-native:cognitiveservices:Account": _diagnosed("accountName"),
            "azure-native:search:Service": _diagnosed("searchServiceName"),
            "azure-native:databricks:Workspace": _diagnosed("workspaceName"),
            "azure-native:logic:Workflow": _diagnosed("workflowName"),
            "azure-native:containerregistry:Registry": _diagnosed("registryName"),
            # A database is called `default`, as much else is, so that its cluster tells it from others.
            "azure-native:redisenterprise:Database": _diagnosed("clusterName"),
        },
        references=(
            "azure-policy:AuditDiagnosticLog_Audit",
            "azure-policy:AuditDiagnosticLog_DINE",
            "checkov:CKV_AWS_285",
            "checkov:CKV_AWS_76",
            "checkov:CKV_AWS_91",
            "checkov:CKV_AWS_80",
            "checkov:CKV_GCP_1",
        ),
    ),
    Rule(
        "MLB-LOG-005",
        "Logs come together in one place that is declared, with its retention and its key.",
        Severity.MEDIUM,
        "Name the log group, the sink or the workspace that the logs go to.",
        checks={
            "aws:lambda/function:Function": present("loggingConfig.logGroup"),
            "azure-native:app:ManagedEnvironment": one_of(
                "appLogsConfiguration.destination", ("azure-monitor", "log-analytics")
            ),
            "azure-native:applicationinsights:Component": present("workspaceResourceId"),
        },
        relations=dict.fromkeys(
            _LOG_BUCKETS,
            related(
                dependents(*_SINKS),
                "a sink that writes to it",
                none_of("disabled", (True,), default=False, source=_REGISTRY + "gcp/api-docs/logging/projectsink/"),
            ),
        ),
    ),
    Rule(
        "MLB-LOG-006",
        "Nobody outside writes logs or reads them.",
        Severity.HIGH,
        "Take logs in from the private network only; let identities ask, not shared keys; name who has the log group.",
        checks={
            "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": no_statement(
                "policyDocument", _public, "named principals, or a condition on account, organisation or network"
            ),
            "aws:cloudwatch/logDestinationPolicy:LogDestinationPolicy": no_statement(
                "accessPolicy", _public, "named principals, or a condition on account, organisation or network"
            ),
            "gcp:logging/logViewIamMember:LogViewIamMember": judged("member", nobody_in_general),
            "gcp:logging/logViewIamBinding:LogViewIamBinding": judged("members[]", nobody_in_general),
            "azure-native:operationalinsights:Workspace": all_of(
                _INGESTION, _asked_by_identities("features.disableLocalAuth")
            ),
            "azure-native:applicationinsights:Component": all_of(_INGESTION, _asked_by_identities("disableLocalAuth")),
        },
    ),
    Rule(
        "MLB-LOG-007",
        "A request can be followed through the services that it passes.",
        Severity.LOW,
        "Switch on tracing; connect the workspace with Application Insights.",
        checks={
            "aws:lambda/function:Function": equals(
                "tracingConfig.mode",
                "Active",
                default="PassThrough",
                source="https://docs.aws.amazon.com/lambda/latest/api/API_TracingConfig.html",
            ),
            "aws:sfn/stateMachine:StateMachine": equals(
                "tracingConfiguration.enabled",
                True,
                default=False,
                source="https://docs.aws.amazon.com/step-functions/latest/apireference/API_TracingConfiguration.html",
            ),
            "aws:apigateway/stage:Stage": equals(
                "xrayTracingEnabled", True, default=False, source=_REGISTRY + "aws/api-docs/apigateway/stage/"
            ),
            "azure-native:machinelearningservices:Workspace": present("applicationInsights"),
        },
        missing={"gcp": "Cloud Run hands its traces to Cloud Trace by itself; nothing of it is configured."},
        references=("checkov:CKV_AWS_50", "checkov:CKV_AWS_284", "checkov:CKV_AWS_73"),
    ),
    Rule(
        "MLB-LOG-010",
        "Who reads and writes stored data is logged.",
        Severity.MEDIUM,
        "Let a bucket of its own take access logs, a trail events of data, a workspace those of Azure's blob service.",
        checks=dict.fromkeys(_AUDIT_CONFIGS, all_of(*(_audited(kind) for kind in ("DATA_READ", "DATA_WRITE")))),
        # A bucket that takes the logs of others has none of its own: they would be logs of writing logs.
        relations={
            "aws:cloudtrail/trail:Trail": one_relation(
                itself(_records_data),
                related(anywhere("aws:cloudtrail/trail:Trail"), "a trail of events of data", _records_data),
            ),
            "aws:s3/bucket:Bucket": one_relation(
                related(
                    belonging("aws:s3/bucketLogging:BucketLogging", "bucket", "bucket"),
                    "access logs (aws:s3/bucketLogging:BucketLogging) that another bucket takes",
                    present("targetBucket"),
                ),
                itself(present("logging.targetBucket")),
            ),
            "gcp:storage/bucket:Bucket": one_relation(
                itself(present("logging.logBucket")),
                related(
                    dependents("gcp:storage/bucket:Bucket"),
                    "access logs that another bucket takes",
                    present("logging.logBucket"),
                ),
            ),
            "azure-native:storage:StorageAccount": related(
                belonging(DIAGNOSTICS, "resourceUri", "accountName"),
                "a DiagnosticSetting of its blob service that sends logs to a workspace",
                all_of(_SOME_LOG, matches("resourceUri", r"(?i).*/blobServices/default", "the blob service")),
            ),
        },
        references=(
            "checkov:CKV_AWS_18",
            "checkov:CKV_GCP_62",
            "checkov:CKV2_AZURE_21",
        ),
    ),
)
