"""Facts of Google Cloud that the layers rely on, each with its source."""

from collections.abc import Mapping, Sequence

from ml_blueprints.compiled_pipelines import CompiledPipelines
from ml_blueprints.limits import Limits
from ml_blueprints.settings import Purpose

# The columns that a BigQuery subscription writes beside the event. https://cloud.google.com/pubsub/docs/bigquery
ARRIVAL_COLUMNS = {
    "subscription_name": "STRING",
    "message_id": "STRING",
    "publish_time": "TIMESTAMP",
    "attributes": "STRING",
}

# Where the pipelines of this cloud's platform are compiled to, and how they call the image of their steps.
PIPELINES = CompiledPipelines("vertexai", "yaml")
RUNTIME_IMAGE = "ml-blueprints-python-runtime"

LIMITS = Limits(
    cloud="gcp",
    # A Cloud Run service's name has at most 49 characters (https://cloud.google.com/run/docs/deploying); the longest
    # of ours adds `-processor` and the eight characters of Pulumi's auto-naming.
    name_length=31,
    name_reason="names of Cloud Run services begin with it and have at most 49 characters",
    # Vertex AI divides requests among deployments, of which each has machines of its own; shadows are loaded beside the
    # champion, whose memory is the limit. Ten of each is what our sizes are made for.
    live_models=10,
    shadow_models=10,
    shadow_percent=100,
    canary_beside_shadow=True,
    # A deployment keeps a machine; to none is a preview of v1beta1 alone. Cloud Run's instances may go down to none.
    # https://cloud.google.com/vertex-ai/docs/predictions/autoscaling
    scale_to_zero=False,
    arrival_columns=frozenset(ARRIVAL_COLUMNS),
)

# The service APIs that the layers call, and those that only online stacks need.
# https://cloud.google.com/service-usage/docs/list-services
SERVICES = (
    "aiplatform",
    "artifactregistry",
    "bigquery",
    "billingbudgets",
    "cloudkms",
    "cloudresourcemanager",
    "cloudscheduler",
    "compute",
    "containerscanning",
    "dataplex",
    "dataproc",
    "dns",
    "eventarc",
    "iam",
    "iamcredentials",
    "logging",
    "monitoring",
    "notebooks",
    "pubsub",
    "secretmanager",
    "servicedirectory",
    "storage",
    "sts",
    "workflowexecutions",
    "workflows",
)
ONLINE_SERVICES = ("bigtable", "bigtableadmin", "binaryauthorization", "run")
API_SERVICES = ("apigateway", "apikeys", "servicecontrol", "servicemanagement")
QUEUE_SERVICES = ("cloudtasks",)

# Services whose agent encrypts with the platform's key and is made on request; the agents of Cloud Storage, BigQuery
# and Cloud Logging have an API of their own to be asked for. https://cloud.google.com/kms/docs/compatible-services
KEY_USERS = ("aiplatform", "artifactregistry", "dataproc", "pubsub", "secretmanager", "workflows")
ONLINE_KEY_USERS = ("bigtableadmin", "run")

# The agent of Compute Engine, which encrypts disks of Spark and of notebooks, is there as soon as its API is enabled.
# https://cloud.google.com/dataproc-serverless/docs/guides/cmek-serverless
COMPUTE_AGENT = "service-{number}@compute-system.iam.gserviceaccount.com"

# Services whose agent is made on request, and encrypts nothing.
OTHER_AGENTS = ("dataplex",)

# Predefined roles, each granted on one resource. https://cloud.google.com/iam/docs/roles-permissions
ROLE_KEY_USER = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
ROLE_DECRYPTER = "roles/cloudkms.cryptoKeyDecrypter"
ROLE_ACT_AS = "roles/iam.serviceAccountUser"
ROLE_FEDERATED = "roles/iam.workloadIdentityUser"
ROLE_OBJECT_READER = "roles/storage.objectViewer"
ROLE_OBJECT_WRITER = "roles/storage.objectUser"
ROLE_OBJECT_CREATOR = "roles/storage.objectCreator"
ROLE_BUCKET_READER = "roles/storage.legacyBucketReader"
ROLE_TABLE_READER = "roles/bigquery.dataViewer"
ROLE_TABLE_WRITER = "roles/bigquery.dataEditor"
ROLE_PUBLISHER = "roles/pubsub.publisher"
ROLE_SUBSCRIBER = "roles/pubsub.subscriber"
ROLE_BIGTABLE_USER = "roles/bigtable.user"
ROLE_ARTIFACT_READER = "roles/artifactregistry.reader"
ROLE_ARTIFACT_WRITER = "roles/artifactregistry.writer"
ROLE_INVOKER = "roles/run.invoker"
ROLE_SECRET_READER = "roles/secretmanager.secretAccessor"  # noqa: S105 (a role, no secret)

# What can only be granted on the project, as a role of the platform's own for each purpose.
# https://cloud.google.com/iam/docs/permissions-reference
_TELEMETRY = (
    "logging.logEntries.create",
    "monitoring.metricDescriptors.create",
    "monitoring.metricDescriptors.get",
    "monitoring.timeSeries.create",
)
_JOBS = ("aiplatform.customJobs.create", "aiplatform.customJobs.get")
# A run of a pipeline: its start, the store that its lineage is written to, and a task, which is a job.
# https://cloud.google.com/vertex-ai/docs/pipelines/configure-project#service-account
PIPELINE_PERMISSIONS = (
    *_JOBS,
    "aiplatform.artifacts.create",
    "aiplatform.artifacts.get",
    "aiplatform.artifacts.list",
    "aiplatform.artifacts.update",
    "aiplatform.contexts.addContextArtifactsAndExecutions",
    "aiplatform.contexts.addContextChildren",
    "aiplatform.contexts.create",
    "aiplatform.contexts.get",
    "aiplatform.contexts.list",
    "aiplatform.contexts.update",
    "aiplatform.executions.addExecutionEvents",
    "aiplatform.executions.create",
    "aiplatform.executions.get",
    "aiplatform.executions.list",
    "aiplatform.executions.update",
    "aiplatform.metadataStores.create",
    "aiplatform.metadataStores.get",
    "aiplatform.pipelineJobs.create",
    "aiplatform.pipelineJobs.get",
    "bigquery.jobs.create",
)
PROJECT_PERMISSIONS = {
    Purpose.INGEST: _TELEMETRY,
    Purpose.TRAINING: (
        *_TELEMETRY,
        *PIPELINE_PERMISSIONS,
        "aiplatform.hyperparameterTuningJobs.cancel",
        "aiplatform.hyperparameterTuningJobs.create",
        "aiplatform.hyperparameterTuningJobs.get",
        "aiplatform.models.get",
        "aiplatform.models.list",
        "aiplatform.models.upload",
        "aiplatform.tensorboardExperiments.create",
        "aiplatform.tensorboardExperiments.get",
        "aiplatform.tensorboardExperiments.write",
        "aiplatform.tensorboardRuns.batchCreate",
        "aiplatform.tensorboardRuns.get",
        "aiplatform.tensorboardRuns.write",
        "aiplatform.tensorboardTimeSeries.batchCreate",
        "aiplatform.tensorboardTimeSeries.get",
        "aiplatform.tensorboards.get",
    ),
    Purpose.SERVING: (*_TELEMETRY, "bigquery.jobs.create"),
    Purpose.MONITORING: (
        *_TELEMETRY,
        *_JOBS,
        "bigquery.jobs.create",
        "eventarc.events.receiveEvent",
        "workflows.executions.create",
    ),
    # Queries; a notebook starts no job of Vertex AI and no pipeline.
    Purpose.EXPLORATION: (*_TELEMETRY, "bigquery.jobs.create"),
}

# What the feature job takes: a start and a look at its run; Spark's nodes, as `roles/dataproc.worker` has it but for
# the objects of all buckets; reading tables. https://cloud.google.com/iam/docs/roles-permissions/dataproc#dataproc.worker
# and https://cloud.google.com/bigquery/docs/reference/storage#required_permissions
FEATURE_JOB_PERMISSIONS = (
    *_TELEMETRY,
    "bigquery.jobs.create",
    "bigquery.readsessions.create",
    "bigquery.readsessions.getData",
    "bigquery.readsessions.update",
    "dataproc.agents.create",
    "dataproc.agents.delete",
    "dataproc.agents.get",
    "dataproc.agents.list",
    "dataproc.agents.update",
    "dataproc.batches.create",
    "dataproc.batches.get",
    "dataproc.batches.sparkApplicationWrite",
    "dataproc.operations.get",
    "dataproc.tasks.lease",
    "dataproc.tasks.listInvalidatedLeases",
    "dataproc.tasks.reportStatus",
    "dataprocrm.nodePools.create",
    "dataprocrm.nodePools.delete",
    "dataprocrm.nodePools.deleteNodes",
    "dataprocrm.nodePools.get",
    "dataprocrm.nodePools.list",
    "dataprocrm.nodePools.resize",
    "dataprocrm.nodes.get",
    "dataprocrm.nodes.heartbeat",
    "dataprocrm.nodes.list",
    "dataprocrm.nodes.mintOAuthToken",
    "dataprocrm.operations.get",
)

# What an endpoint is asked by, and how a workflow divides its requests anew.
# https://cloud.google.com/vertex-ai/docs/general/iam-permissions
PREDICT_PERMISSIONS = ("aiplatform.endpoints.predict",)
DIVIDE_PERMISSIONS = ("aiplatform.endpoints.get", "aiplatform.endpoints.update")

# What scanning a table for its quality takes beside reading the table.
# https://cloud.google.com/dataplex/docs/use-auto-data-quality#required_roles
SCAN_PERMISSIONS = ("bigquery.jobs.create",)

# What looking up the schema of an event takes. https://cloud.google.com/pubsub/docs/schemas#required_roles
CONTRACT_PERMISSIONS = ("pubsub.schemas.get",)

# What reading a feature view takes; the predefined roles that hold it can read all of Vertex AI.
FEATURE_PERMISSIONS = ("aiplatform.featureViews.fetchFeatureValues", "aiplatform.featureViews.get")

# What whoever owns a notebook may do with it. https://cloud.google.com/iam/docs/roles-permissions/notebooks
NOTEBOOK_PERMISSIONS = (
    "notebooks.instances.get",
    "notebooks.instances.start",
    "notebooks.instances.stop",
    "notebooks.instances.use",
)

# What Vertex AI's service agent needs to attach its jobs to the network.
# https://cloud.google.com/vertex-ai/docs/general/vpc-psc-i-setup
ATTACHMENT_PERMISSIONS = (
    "compute.networkAttachments.get",
    "compute.networkAttachments.update",
    "compute.regionOperations.get",
)

# What reading a resource takes, by its type, and nothing that is kept in it: so a stack is compared with what is there.
# Objects are read by a grant on their bucket, and budgets by one on the billing account. An API key's value is in
# the state as well. https://cloud.google.com/iam/docs/permissions-reference
GET_PERMISSIONS: Mapping[str, Sequence[str]] = {
    "apigateway/api": ("apigateway.apis.get",),
    "apigateway/apiConfig": ("apigateway.apiconfigs.get",),
    "apigateway/gateway": ("apigateway.gateways.get",),
    "artifactregistry/repository": ("artifactregistry.repositories.get",),
    "artifactregistry/repositoryIamMember": ("artifactregistry.repositories.getIamPolicy",),
    "bigquery/dataset": ("bigquery.datasets.get",),
    "bigquery/datasetIamMember": ("bigquery.datasets.getIamPolicy",),
    "bigquery/iamMember": ("bigquery.tables.getIamPolicy",),
    "bigquery/table": ("bigquery.tables.get",),
    "bigtable/appProfile": ("bigtable.appProfiles.get",),
    "bigtable/gCPolicy": ("bigtable.tables.get",),
    "bigtable/instance": ("bigtable.clusters.get", "bigtable.clusters.list", "bigtable.instances.get"),
    "bigtable/table": ("bigtable.tables.get",),
    "bigtable/tableIamMember": ("bigtable.tables.getIamPolicy",),
    "cloudrunv2/service": ("run.services.get",),
    "cloudrunv2/serviceIamMember": ("run.services.getIamPolicy",),
    "cloudscheduler/job": ("cloudscheduler.jobs.get",),
    "cloudtasks/queue": ("cloudtasks.queues.get",),
    "compute/address": ("compute.addresses.get",),
    "compute/firewall": ("compute.firewalls.get",),
    "compute/forwardingRule": ("compute.forwardingRules.get",),
    "compute/globalAddress": ("compute.globalAddresses.get",),
    "compute/globalForwardingRule": ("compute.globalForwardingRules.get",),
    "compute/network": ("compute.networks.get",),
    "compute/networkAttachment": ("compute.networkAttachments.get",),
    "compute/route": ("compute.routes.get",),
    "compute/router": ("compute.routers.get",),
    "compute/routerNat": ("compute.routers.get",),
    "compute/subnetwork": ("compute.subnetworks.get",),
    "dataplex/aspectType": ("dataplex.aspectTypes.get",),
    "dataplex/datascan": ("dataplex.datascans.get",),
    "dataplex/entry": ("dataplex.entries.get",),
    "dataplex/entryGroup": ("dataplex.entryGroups.get",),
    "dataplex/entryType": ("dataplex.entryTypes.get",),
    "dns/managedZone": ("dns.managedZones.get",),
    "dns/recordSet": ("dns.resourceRecordSets.get", "dns.resourceRecordSets.list"),
    "eventarc/trigger": ("eventarc.triggers.get",),
    "iam/workloadIdentityPool": ("iam.workloadIdentityPools.get",),
    "iam/workloadIdentityPoolProvider": ("iam.workloadIdentityPoolProviders.get",),
    "kms/cryptoKey": ("cloudkms.cryptoKeys.get",),
    "kms/cryptoKeyIAMMember": ("cloudkms.cryptoKeys.getIamPolicy",),
    "kms/keyRing": ("cloudkms.keyRings.get",),
    "logging/metric": ("logging.logMetrics.get",),
    "logging/projectBucketConfig": ("logging.buckets.get",),
    "logging/projectSink": ("logging.sinks.get",),
    "monitoring/alertPolicy": ("monitoring.alertPolicies.get",),
    "monitoring/customService": ("monitoring.services.get",),
    "monitoring/dashboard": ("monitoring.dashboards.get",),
    "monitoring/notificationChannel": ("monitoring.notificationChannels.get",),
    "monitoring/slo": ("monitoring.slos.get",),
    "projects/apiKey": ("apikeys.keys.get", "apikeys.keys.getKeyString"),
    "projects/iAMAuditConfig": ("resourcemanager.projects.get", "resourcemanager.projects.getIamPolicy"),
    "projects/iAMCustomRole": ("iam.roles.get",),
    "projects/iAMMember": ("resourcemanager.projects.get", "resourcemanager.projects.getIamPolicy"),
    "projects/service": ("serviceusage.services.get", "serviceusage.services.list"),
    "projects/serviceIdentity": ("serviceusage.services.get",),
    "pubsub/schema": ("pubsub.schemas.get",),
    "pubsub/schemaIamMember": ("pubsub.schemas.getIamPolicy",),
    "pubsub/subscription": ("pubsub.subscriptions.get",),
    "pubsub/subscriptionIAMMember": ("pubsub.subscriptions.getIamPolicy",),
    "pubsub/topic": ("pubsub.topics.get",),
    "pubsub/topicIAMMember": ("pubsub.topics.getIamPolicy",),
    "secretmanager/secret": ("secretmanager.secrets.get",),
    "secretmanager/secretIamMember": ("secretmanager.secrets.getIamPolicy",),
    "serviceaccount/account": ("iam.serviceAccounts.get",),
    "serviceaccount/iAMMember": ("iam.serviceAccounts.getIamPolicy",),
    "storage/bucket": ("storage.buckets.get",),
    "storage/bucketIAMMember": ("storage.buckets.getIamPolicy",),
    "vertex/aiEndpoint": ("aiplatform.endpoints.get",),
    "vertex/aiEndpointIamMember": ("aiplatform.endpoints.getIamPolicy",),
    "vertex/aiFeatureGroup": ("aiplatform.featureGroups.get",),
    "vertex/aiFeatureGroupFeature": ("aiplatform.features.get",),
    "vertex/aiFeatureOnlineStore": ("aiplatform.featureOnlineStores.get",),
    "vertex/aiFeatureOnlineStoreFeatureview": ("aiplatform.featureViews.get",),
    "vertex/aiFeatureOnlineStoreFeatureviewIamMember": ("aiplatform.featureViews.getIamPolicy",),
    "vertex/aiTensorboard": ("aiplatform.tensorboards.get",),
    "workbench/instance": ("notebooks.instances.get",),
    "workbench/instanceIamMember": ("notebooks.instances.getIamPolicy",),
    "workflows/workflow": ("workflows.workflows.get",),
    # Models, deployments and traffic, which providers of our own read.
    "dynamic/ml_blueprints": ("aiplatform.endpoints.get", "aiplatform.models.get"),
}
# What looking for things that no stack owns lists (delivery/ml_delivery/shadow/gcp.py).
LIST_PERMISSIONS = tuple(
    f"aiplatform.{kind}.list"
    for kind in (
        "deploymentResourcePools",
        "endpoints",
        "featureGroups",
        "featureOnlineStores",
        "indexEndpoints",
        "models",
        "notebookRuntimes",
        "persistentResources",
        "reasoningEngines",
        "tensorboards",
    )
)

# Domains of Google's APIs, of Artifact Registry, of Cloud Run and of notebooks, which resolve to the private endpoint.
# https://cloud.google.com/vpc/docs/configure-private-service-connect-apis
PRIVATE_DOMAINS = (
    "googleapis.com.",
    "notebooks.cloud.google.com.",
    "notebooks.googleusercontent.com.",
    "pkg.dev.",
    "run.app.",
)

# Resource types whose logs are kept in the platform's bucket. https://cloud.google.com/logging/docs/api/v2/resource-list
LOGGED_RESOURCES = (
    "aiplatform.googleapis.com/Endpoint",
    "aiplatform.googleapis.com/FeatureOnlineStore",
    "aiplatform.googleapis.com/PipelineJob",
    "apigateway.googleapis.com/Gateway",
    "audited_resource",
    "bigquery_dataset",
    "bigquery_project",
    "cloud_dataproc_batch",
    "cloud_run_revision",
    "cloud_scheduler_job",
    "cloud_tasks_queue",
    "dataplex.googleapis.com/DataScan",
    "gce_firewall_rule",
    "gce_subnetwork",
    "gcs_bucket",
    "ml_job",
    "pubsub_subscription",
    "workflows.googleapis.com/Workflow",
)
LOG_RETENTION_DAYS = 365

# Services of which it is recorded who read and who wrote: models, features and events, registries, and secrets.
# https://cloud.google.com/logging/docs/audit/configure-data-access
AUDITED_SERVICES = ("aiplatform", "artifactregistry", "bigquery", "secretmanager", "storage")
AUDITED = ("DATA_READ", "DATA_WRITE")

# Who writes the usage logs of buckets. https://cloud.google.com/storage/docs/access-logs#delivery
USAGE_LOG_WRITER = "group:cloud-storage-analytics@google.com"

# Days for which a version of a secret can be had back that was destroyed.
SECRET_RETENTION_DAYS = 30

# Days after which an image that no tag names any more is deleted.
UNTAGGED_IMAGE_DAYS = 30

# Size classes of a scoring instance, as Cloud Run's limits. https://cloud.google.com/run/docs/configuring/services/cpu
INSTANCE_LIMITS = {
    "small": {"cpu": "1", "memory": "2Gi"},
    "medium": {"cpu": "2", "memory": "4Gi"},
    "large": {"cpu": "8", "memory": "16Gi"},
}
SERVICE_PORT = 8080
HEALTH_PATH = "/health"
PREDICT_PATH = "/predict"

# The size class of a router: it holds no model, and waits for others most of the time.
ROUTER_SIZE = "small"

# Where private endpoints are; their number, region and project come before it.
# https://cloud.google.com/vertex-ai/docs/predictions/private-service-connect#create-dns-record
PRIVATE_PREDICTION = ".prediction.p.vertexai.goog"

# What the number of machines follows: percent of their processors, and requests in a minute to each.
# https://cloud.google.com/vertex-ai/docs/predictions/autoscaling
CPU_METRIC = "aiplatform.googleapis.com/prediction/online/cpu/utilization"
REQUESTS_METRIC = "aiplatform.googleapis.com/prediction/online/request_count"
CPU_TARGET = 60

# Where a gateway can be. https://cloud.google.com/api-gateway/docs/deployment-model
API_REGIONS = frozenset(
    {
        "asia-east1",
        "asia-northeast1",
        "australia-southeast1",
        "europe-west1",
        "europe-west2",
        "us-central1",
        "us-east1",
        "us-east4",
        "us-west2",
        "us-west3",
        "us-west4",
    }
)

# Times that a request in a queue is tried, and how often in a second at most: no more than Cloud Tasks takes.
# https://cloud.google.com/tasks/docs/quotas
TASK_ATTEMPTS = 20
TASKS_PER_SECOND = 500
# Requests that an instance of Cloud Run is given at a time, as it is by default.
# https://cloud.google.com/run/docs/about-concurrency
TASKS_PER_INSTANCE = 80
TASK_QUEUE_URL = "https://cloudtasks.googleapis.com/v2/"

# Events a second that an instance of the processor takes: it works on 80 at a time, for a tenth of a second each, and
# is added to before it is full. https://cloud.google.com/run/docs/about-concurrency
EVENTS_PER_INSTANCE = 500

# Times that an event is delivered before it becomes a dead letter: at a minute's distance a quarter of an hour, since
# what the processor or the archive can't use is told from what they can't reach. Pub/Sub takes 5 to 100.
DELIVERY_ATTEMPTS = 20

# Spark 3.5 with the connector for BigQuery, and its smallest nodes; a batch that takes longer is ended.
# https://cloud.google.com/dataproc-serverless/docs/concepts/versions/dataproc-serverless-versions
SPARK_RUNTIME = "2.3"
SPARK_CORES = "4"
SPARK_TIMEOUT_SECONDS = 6 * 3600
SPARK_TAG = "spark"

# An executor for this many events a second at the peak, which are some hundred million in a day; a batch has two at
# least.
# https://cloud.google.com/dataproc-serverless/docs/concepts/properties#resource_allocation_properties
EVENTS_PER_EXECUTOR = 2000
MINIMUM_EXECUTORS = 2
MAXIMUM_EXECUTORS = 32

# A node on SSD does some 17,000 reads or 14,000 writes of a kilobyte in a second, an event needs one of each, and nodes
# are added at 60 percent of their CPU. https://cloud.google.com/bigtable/docs/performance
EVENTS_PER_BIGTABLE_NODE = 4000
BIGTABLE_CPU_TARGET = 60

# Machine of drift jobs, which run and end.
# https://cloud.google.com/vertex-ai/docs/training/configure-compute
JOB_MACHINE_TYPE = "n2-standard-4"
JOB_DISK_GIB = 100

# Machine, zone, disks and image of a notebook. https://cloud.google.com/vertex-ai/docs/workbench/instances/create and,
# for zones, which all regions have by this letter, https://cloud.google.com/compute/docs/regions-zones
NOTEBOOK_MACHINE_TYPE = "e2-standard-4"
NOTEBOOK_ZONE = "b"
NOTEBOOK_BOOT_GIB, NOTEBOOK_DATA_GIB = 150, 100
NOTEBOOK_IMAGE = {"project": "cloud-notebooks-managed", "family": "workbench-instances"}
# An hour without work, and upgrades on Monday nights.
# https://cloud.google.com/vertex-ai/docs/workbench/instances/manage-metadata
NOTEBOOK_METADATA = {
    "idle-timeout-seconds": "3600",
    "notebook-upgrade-schedule": "0 3 * * MON",
    "report-event-health": "true",
    "block-project-ssh-keys": "true",
    "serial-port-logging-enable": "false",
}

# How a run of a pipeline asks for the machines of its trials: in an experiment for those that Google may take back.
# https://cloud.google.com/vertex-ai/docs/reference/rest/v1/CustomJobSpec#Strategy
STRATEGIES = {True: "SPOT", False: "STANDARD"}

# What a container of the platform's image runs; without a command it is the scoring service.
COMMANDS = {
    "process": ("python", "-m", "ml_pipelines.streaming.cloud_run"),
    "drift": ("python", "-m", "ml_pipelines.steps.drift"),
    "feedback": ("python", "-m", "ml_pipelines.retraining.feedback"),
}

# What the event processor is told to watch the stream without a baseline, and how its log tells of a change.
WATCH = "learn"
CHANGE_LINE = "ml_pipelines.streaming.watch: drift:"

# Where a Spark batch is started and looked at.
# https://cloud.google.com/dataproc-serverless/docs/reference/rest/v1/projects.locations.batches
DATAPROC_URL = "https://dataproc.googleapis.com/v1/"

# Where a workflow is started. https://cloud.google.com/workflows/docs/reference/executions/rest
EXECUTIONS_URL = "https://workflowexecutions.googleapis.com/v1/"

# Where an object is read. https://cloud.google.com/storage/docs/json_api/v1/objects/get
OBJECTS_URL = "https://storage.googleapis.com/storage/v1/b/{bucket}/o/{path}?alt=media"

# Avro to BigQuery types. https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-avro#avro_conversions
COLUMN_TYPES = {
    "string": "STRING",
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "long": "INTEGER",
    "float": "FLOAT",
    "double": "FLOAT",
    "bytes": "BYTES",
    "record": "RECORD",
}

# The same types in queries. https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types
SQL_TYPES = {"STRING": "STRING", "INTEGER": "INT64", "FLOAT": "FLOAT64", "TIMESTAMP": "TIMESTAMP"}

# Types of feature definitions, as columns of the table that a feature group reads.
FEATURE_TYPES = {"integer": "INTEGER", "float": "FLOAT", "string": "STRING", "boolean": "BOOLEAN"}

# When the stream took an event.
PUBLISH_TIME = "publish_time"

# When an event arrived, as the feature job and the event processor write it.
ARRIVED_AT = "arrived_at"

# The column that says since when features were known, as the sources of feature groups name it.
# https://cloud.google.com/vertex-ai/docs/featurestore/latest/prepare-data-source
FEATURE_TIME = "feature_timestamp"

# When a feature view takes over the latest rows, in UTC. It can follow them continuously only where the source is a
# table in `eu`, `us` or `us-central1`, and can't be changed then; writing to a view directly is in preview.
# https://cloud.google.com/vertex-ai/docs/featurestore/latest/create-featureview#sync_featuredata
FEATURE_SYNC = "TZ=UTC */10 * * * *"

# Whose tokens a deployment trusts, which claim names the repository, and what must hold of a token beside.
# https://docs.github.com/en/actions/reference/security/oidc and https://docs.gitlab.com/ci/secrets/id_token_authentication/
OIDC_ISSUERS = {"github": "https://token.actions.githubusercontent.com", "gitlab": "https://gitlab.com"}
OIDC_REPOSITORY_CLAIMS = {"github": "repository", "gitlab": "project_path"}
OIDC_CONDITIONS = {
    "github": "assertion.environment == '{environment}'",
    "gitlab": "assertion.ref_type == 'branch' && assertion.ref == 'main'",
}
# The same for whoever only looks. On GitLab a job of `main` that deploys has another environment.
OIDC_AUDIT_CONDITIONS = {
    "github": "assertion.environment == '{environment}-audit'",
    "gitlab": f"{OIDC_CONDITIONS['gitlab']} && assertion.environment == '{{environment}}-audit'",
}
