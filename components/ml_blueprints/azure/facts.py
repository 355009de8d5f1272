"""Facts of Azure that the layers rely on, each with its source."""

from ml_blueprints.compiled_pipelines import CompiledPipelines
from ml_blueprints.limits import Limits

# Where the pipelines of this cloud's platform are compiled to.
PIPELINES = CompiledPipelines("azureml", "json")

LIMITS = Limits(
    cloud="azure",
    # An online endpoint's name has 3 to 32 characters and is unique in its region, so that a hyphen and eight
    # characters of our own follow it (https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas).
    name_length=23,
    name_reason="names of online endpoints begin with it and have at most 32 characters",
    # 20 deployments in an endpoint; mirrored traffic goes to one of them and is at most 50 percent
    # (https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas,
    # https://learn.microsoft.com/azure/machine-learning/concept-endpoints-online#mirror-traffic).
    live_models=19,
    shadow_models=1,
    shadow_percent=50,
    canary_beside_shadow=True,
    # Managed online deployments keep at least one instance.
    # https://learn.microsoft.com/azure/machine-learning/how-to-autoscale-endpoints
    scale_to_zero=False,
)

# Built-in roles, each granted on one resource.
# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLE_READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"  # Reader
ROLE_KEY_USER = "e147488a-f6f5-4113-8e2d-b22465e65bf6"  # Key Vault Crypto Service Encryption User
ROLE_VAULT_READER = "4633458b-17de-408a-b874-0445c86b69e6"  # Key Vault Secrets User
ROLE_VAULT_ADMINISTRATOR = "00482a5a-887f-4fb3-b363-3b7fe8e74483"  # Key Vault Administrator
ROLE_CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"  # Contributor
ROLE_BLOB_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"  # Storage Blob Data Reader
ROLE_BLOB_WRITER = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"  # Storage Blob Data Contributor
ROLE_FILE_WRITER = "69566ab7-960f-475b-8e7c-b3118f30c6bd"  # Storage File Data Privileged Contributor
ROLE_EVENT_RECEIVER = "a638d3c7-ab3a-418d-83e6-5f17a39d4fde"  # Azure Event Hubs Data Receiver
ROLE_EVENT_SENDER = "2b629674-e913-4c01-ae53-ef4638d8f975"  # Azure Event Hubs Data Sender
ROLE_SCHEMA_READER = "2c56ea50-c6b3-40a6-83c0-9d98858bc7d2"  # Schema Registry Reader
ROLE_SCHEMA_WRITER = "5dffeca3-4936-4216-b2bc-10343a5abb25"  # Schema Registry Contributor
ROLE_IMAGE_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"  # AcrPull
ROLE_IMAGE_PUSH = "8311e382-0749-4cb8-b61a-304f252e45ec"  # AcrPush
ROLE_METRICS_WRITER = "635dd51f-9968-44d3-b7fb-6d9a6bd613ae"  # AzureML Metrics Writer (preview)
ROLE_DATA_SCIENTIST = "f6c7c914-8db3-469d-8ca1-694a8f32e121"  # AzureML Data Scientist
ROLE_IDENTITY_OPERATOR = "f1a07417-d97a-45cb-824c-7a7467783830"  # Managed Identity Operator
ROLE_ROLE_ADMINISTRATOR = "f58310d9-a9f6-439a-9e8d-f62e7b41a168"  # Role Based Access Control Administrator
ROLE_CONNECTION_APPROVER = "b556d68e-0be0-4f35-a333-ad7ee1ce17ea"  # Azure AI Enterprise Network Connection Approver

# What roles of the platform's own may do, each granted on one workspace or endpoint; no built-in role holds so little.
# https://learn.microsoft.com/azure/machine-learning/how-to-assign-roles#common-scenarios and
# https://learn.microsoft.com/azure/machine-learning/concept-endpoints-online-auth
_ML = "Microsoft.MachineLearningServices/workspaces"
TRAINING_ACTIONS = (
    f"{_ML}/read",
    f"{_ML}/*/read",
    f"{_ML}/experiments/write",
    f"{_ML}/experiments/runs/write",
    f"{_ML}/metadata/artifacts/write",
    f"{_ML}/metrics/resource/write",
    f"{_ML}/models/write",
    f"{_ML}/models/versions/write",
)
START_ACTIONS = (
    f"{_ML}/read",
    f"{_ML}/*/read",
    f"{_ML}/experiments/runs/submit/action",
    f"{_ML}/experiments/runs/write",
    f"{_ML}/jobs/write",
    f"{_ML}/metadata/artifacts/write",
    f"{_ML}/metadata/snapshots/write",
)
# Runs of one's own are recorded; none is submitted to a compute, and no pipeline is started.
EXPLORATION_ACTIONS = (
    f"{_ML}/read",
    f"{_ML}/*/read",
    f"{_ML}/experiments/write",
    f"{_ML}/experiments/runs/write",
    f"{_ML}/metadata/artifacts/write",
    f"{_ML}/metrics/resource/write",
)
# What a person does with an instance: a personal one opens to its user alone.
WORKBENCH_ACTIONS = (
    f"{_ML}/read",
    f"{_ML}/*/read",
    f"{_ML}/computes/applicationaccess/action",
    f"{_ML}/computes/restart/action",
    f"{_ML}/computes/start/action",
    f"{_ML}/computes/stop/action",
)
# https://learn.microsoft.com/azure/machine-learning/how-to-manage-registries
PROMOTION_ACTIONS = (
    "Microsoft.MachineLearningServices/registries/read",
    "Microsoft.MachineLearningServices/registries/assets/read",
)
SHARE_ACTIONS = (*PROMOTION_ACTIONS, "Microsoft.MachineLearningServices/registries/assets/write")
ROLLBACK_ACTIONS = (f"{_ML}/onlineEndpoints/read", f"{_ML}/onlineEndpoints/write")
SCORE_ACTIONS = (f"{_ML}/onlineEndpoints/score/action",)
FEATURE_JOB_ACTIONS = (
    f"{_ML}/read",
    f"{_ML}/*/read",
    f"{_ML}/experiments/runs/write",
    f"{_ML}/metadata/artifacts/write",
    f"{_ML}/metrics/resource/write",
)
# What a secrets provider of Pulumi's does with a key (https://gocloud.dev/howto/secrets/#azure).
_KEYS = "Microsoft.KeyVault/vaults/keys"
DECRYPT_ACTIONS = (f"{_KEYS}/read", f"{_KEYS}/decrypt/action")
ENCRYPT_ACTIONS = (*DECRYPT_ACTIONS, f"{_KEYS}/encrypt/action")

# Private endpoints: the zones in which a service's names are found, by the service's group id.
# https://learn.microsoft.com/azure/private-link/private-endpoint-dns
PRIVATE_ZONES = {
    "vault": ("privatelink.vaultcore.azure.net",),
    "blob": ("privatelink.blob.core.windows.net",),
    "dfs": ("privatelink.dfs.core.windows.net",),
    "file": ("privatelink.file.core.windows.net",),
    "namespace": ("privatelink.servicebus.windows.net",),
    "registry": ("privatelink.azurecr.io",),
    "amlregistry": ("privatelink.api.azureml.ms",),
    "amlworkspace": ("privatelink.api.azureml.ms", "privatelink.notebooks.azure.net"),
    "redisEnterprise": ("privatelink.redis.azure.net",),
}

# Container Apps' environments have a subnet of their own, delegated to them, of at least /27.
# https://learn.microsoft.com/azure/container-apps/custom-virtual-networks
CONTAINER_APPS_DELEGATION = "Microsoft.App/environments"

# What workloads may reach beside the virtual network: services without a private endpoint of ours, by service tag.
# https://learn.microsoft.com/azure/container-apps/firewall-integration
OUTBOUND_TAGS = ("AzureActiveDirectory", "AzureMonitor", "MicrosoftContainerRegistry", "AzureFrontDoor.FirstParty")

# What API Management needs outside of its subnet; Entra among it, which issues tokens.
# https://learn.microsoft.com/azure/api-management/virtual-network-reference#required-ports
API_OUTBOUND = (
    ("Storage", "443"),
    ("Sql", "1433"),
    ("AzureKeyVault", "443"),
    ("AzureMonitor", "443"),
    ("AzureMonitor", "1886"),
    ("AzureActiveDirectory", "443"),
)

# The tiers of API Management that can be injected in a virtual network and count quotas by token, by environment; both
# behave alike. Developer has no agreement on its availability and costs some 50 US dollars a month, Premium has one and
# costs some 2,800 for a unit; each takes up to an hour to come up. Premium v2 has no quota by key, Standard v2 is
# reached by private endpoints only once it was public.
# https://learn.microsoft.com/azure/api-management/api-management-features,
# https://learn.microsoft.com/azure/api-management/quota-by-key-policy and
# https://azure.microsoft.com/pricing/details/api-management/
API_TIERS = {"experiment": "Developer", "staging": "Developer", "production": "Premium"}
API_HOST = "azure-api.net"

# A gateway's validation takes bodies up to this size, in bytes.
# https://learn.microsoft.com/azure/api-management/validate-content-policy
API_BODY_BYTES = 4 * 2**20

# Protocols and ciphers that API Management speaks unless it is told not to.
# https://learn.microsoft.com/azure/api-management/api-management-howto-manage-protocols-ciphers
_SECURITY = "Microsoft.WindowsAzure.ApiManagement.Gateway.Security"
API_PROTOCOLS = {
    f"{_SECURITY}.{side}Protocols.{protocol}": "False"
    for side in ("", "Backend.")
    for protocol in ("Tls10", "Tls11", "Ssl30")
} | {f"{_SECURITY}.Ciphers.TripleDes168": "False"}

# Whose tokens Azure Machine Learning's endpoints take, and the router in front of them, too; and its application.
# https://learn.microsoft.com/azure/machine-learning/how-to-authenticate-online-endpoint and
# https://learn.microsoft.com/azure/machine-learning/how-to-setup-authentication#use-conditional-access
SCORING_AUDIENCE = "https://ml.azure.com"
SCORING_APPLICATION = "0736f41a-0425-4b46-bdb5-1563eff02385"
ENTRA_ISSUER = "https://sts.windows.net/{tenant}/"
ENTRA_HOST = "https://login.microsoftonline.com/"

# The watcher that Azure makes in each region. https://learn.microsoft.com/azure/network-watcher/network-watcher-create
WATCHER_GROUP = "NetworkWatcherRG"
WATCHER = "NetworkWatcher_{location}"

LOG_RETENTION_DAYS = 365

# Days for which a state that was written over can be had back.
STATE_VERSIONS_DAYS = 90

# Throughput of one processing unit of the Premium tier, which is the one that takes a customer-managed key: about 5
# to 10 MB a second. Events of our contracts have less than 1 kB.
# https://learn.microsoft.com/azure/event-hubs/event-hubs-scalability#processing-units
EVENTS_PER_PROCESSING_UNIT = 5000
PROCESSING_UNITS = (1, 2, 4, 8, 16)
EVENTS_PER_PARTITION = 1000
MINIMUM_PARTITIONS = 2
MAXIMUM_PARTITIONS = 100

# Event Hubs knows three rules; a stricter one of ours is kept by the pipelines, which publish the schemas.
# https://learn.microsoft.com/azure/event-hubs/schema-registry-concepts#compatibility-modes
SCHEMA_COMPATIBILITY = {
    "BACKWARD": "Backward",
    "BACKWARD_ALL": "Backward",
    "FORWARD": "Forward",
    "FORWARD_ALL": "Forward",
    "FULL": "Backward",
    "FULL_ALL": "Backward",
}

# Types of the columns by which a feature store finds an entity, from Avro's.
# https://learn.microsoft.com/azure/machine-learning/reference-yaml-featurestore-entity
INDEX_TYPES = {"string": "String", "int": "Integer", "long": "Long"}

# Types of features in a feature store, by those of a workload.
# https://learn.microsoft.com/azure/machine-learning/reference-yaml-featureset-spec
FEATURE_TYPES = {"integer": "long", "float": "double", "string": "string", "boolean": "boolean"}

# Azure Managed Redis: sizes with 6, 12, 24, 60 and 120 GB, each with as many events a second as we let it have; a
# replica for high availability is there in every size. An event reads and writes the windows of its entity and writes
# its features, three commands; one that runs full refuses writes, so that a size is chosen by memory too (see
# online_store.py). https://learn.microsoft.com/azure/redis/overview#choosing-the-right-tier
REDIS_SKUS = {
    5_000: "Balanced_B5",
    10_000: "Balanced_B10",
    20_000: "Balanced_B20",
    50_000: "Balanced_B50",
    100_000: "Balanced_B100",
}
REDIS_PORT = 10000

# Share of its memory, in percent, at which somebody should make it larger.
# https://learn.microsoft.com/azure/redis/best-practices-memory-management
MEMORY_ALARM = 80
REDIS_ACCESS_POLICY = "default"

SERVICE_PORT = 8080
HEALTH_PATH = "/health"
LIVE_PATH = "/live"
SCORE_PATH = "/score"

# Processor load at which an instance is added, and below which one is taken away, in percent; and the share of its
# requests below which one is taken away: of two, the one that is left must not be full at once.
# https://learn.microsoft.com/azure/machine-learning/how-to-autoscale-endpoints
SCALE_OUT_LOAD = 70
SCALE_IN_LOAD = 30
SCALE_IN_SHARE = 0.4

# Nodes of training and batch scoring jobs, which are there while a job runs.
# https://learn.microsoft.com/azure/machine-learning/concept-compute-target
JOB_VM_SIZE = "Standard_DS3_v2"
JOB_NODES = 4

# When training would start whose schedule somebody enables, and whose workload names no time (cron, UTC).
TRAINING_TIMES = "0 1 1 * *"

# Notebooks: small instances, which stop when nobody works on them, and in the evening (cron, UTC).
# https://learn.microsoft.com/azure/machine-learning/how-to-create-compute-instance#configure-idle-shutdown
WORKBENCH_VM_SIZE = "Standard_DS3_v2"
WORKBENCH_IDLE = "PT1H"
WORKBENCH_STOP = "0 19 * * *"

# Serverless Spark, which runs feature jobs and materialization: its smallest nodes, with 4 cores and
# 32 GB, and the one version that it has. It acts under an identity that is attached to the workspace. In a managed
# network that lets out only what is approved it can't install packages.
# https://learn.microsoft.com/azure/machine-learning/how-to-submit-spark-jobs,
# https://learn.microsoft.com/azure/machine-learning/reference-yaml-monitor and
# https://learn.microsoft.com/azure/machine-learning/how-to-managed-network#configure-for-serverless-spark-jobs
SPARK_INSTANCE_TYPE = "standard_e4s_v3"
SPARK_CORES = 4
SPARK_MEMORY = "28g"
SPARK_VERSION = "3.4"

# An executor for this many events a second at the peak, which are some hundred million in a day.
EVENTS_PER_EXECUTOR = 2000
MINIMUM_EXECUTORS = 1
MAXIMUM_EXECUTORS = 32

# Nodes of serverless compute for a job that only copies files.
SMALL_JOB_VM_SIZE = "Standard_DS2_v2"

# The longest text that Linux takes as one variable, of which base64 leaves three quarters.
# https://man7.org/linux/man-pages/man2/execve.2.html#NOTES
LONGEST_VARIABLE = 128 * 1024

# The event of a file that was written, and by which calls it is told as whole in a lake with folders.
# https://learn.microsoft.com/azure/event-grid/event-schema-data-lake-storage-gen-2
WRITTEN_EVENT = "Microsoft.Storage.BlobCreated"
WRITTEN_CALLS = ("FlushWithClose", "PutBlob", "PutBlockList")

# What a container of the platform's image runs; without a command it is the scoring service.
COMMANDS = {
    "publish": ("python", "-m", "ml_pipelines.contracts.publish"),
    "process": ("python", "-m", "ml_pipelines.streaming.event_hubs"),
    "serve": ("python", "-m", "ml_pipelines.serving"),
    "drift": ("python", "-m", "ml_pipelines.steps.drift"),
    "feedback": ("python", "-m", "ml_pipelines.retraining.feedback"),
}

# A container app that answers requests: the most of one replica, and how many requests at a time it has before another
# is added. https://learn.microsoft.com/azure/container-apps/containers#allocations and
# https://learn.microsoft.com/azure/container-apps/scale-app#http
APP_CPU = 4
APP_MEMORY_PER_CPU = 2
APP_CONCURRENCY = "64"
ROUTER_CPU = 1

# Size of the event processor. https://learn.microsoft.com/azure/container-apps/containers#allocations
PROCESSOR_CPU = 1.0
PROCESSOR_MEMORY = "2Gi"

# Azure Resource Manager, and the API version of Azure Machine Learning that the SDK speaks too.
MANAGEMENT_URL = "https://management.azure.com"
ML_API_VERSION = "2025-12-01"

# Whose tokens a deployment trusts, for which audience, and what their subject says of a repository's environment.
# https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust-user-assigned-managed-identity,
# https://docs.github.com/en/actions/concepts/security/openid-connect and https://docs.gitlab.com/ci/cloud_services/azure/
OIDC_ISSUERS = {"github": "https://token.actions.githubusercontent.com", "gitlab": "https://gitlab.com"}
OIDC_AUDIENCE = "api://AzureADTokenExchange"
OIDC_SUBJECTS = {
    "github": "repo:{repository}:environment:{environment}",
    "gitlab": "project_path:{repository}:ref_type:branch:ref:main",
}
