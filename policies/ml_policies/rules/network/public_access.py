"""Public access: what holds data, models, images or events, or answers requests, is closed to the public network."""

from ml_policies.checks import Check, absent, all_of, any_of, equals, none_of, one_of, present, when
from ml_policies.relations import anywhere, belonging, dependents, itself, one_relation, related
from ml_policies.remedies import sets
from ml_policies.resource import MISSING
from ml_policies.rule import Relation, Rule, Severity
from ml_policies.scoring import GCP_API_CONFIG

_AWS = "https://www.pulumi.com/registry/packages/aws/api-docs"
_AZURE = "https://www.pulumi.com/registry/packages/azure-native/api-docs"
_GCP = "https://www.pulumi.com/registry/packages/gcp/api-docs"

_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_PUBLIC_ACLS = ("public-read", "public-read-write", "authenticated-read")


def _blocked(inside: str = "", default: bool = False, page: str = "s3/bucketpublicaccessblock") -> Check:
    return all_of(*(equals(inside + name, True, default, f"{_AWS}/{page}/") for name in _BLOCKS))


def _closed(path: str = "publicNetworkAccess", perimeter: bool = False, page: str = "") -> Check:
    """Azure's switch for the public network, off; most services are open where it is absent."""
    closed = ("Disabled", "SecuredByPerimeter") if perimeter else ("Disabled",)
    return one_of(path, closed, "Enabled" if page else MISSING, f"{_AZURE}/{page}/" if page else "")


def _not_public(page: str) -> Check:
    return equals("publiclyAccessible", False, False, f"{_AWS}/{page}/")


def _own_block() -> Relation:
    """A block of the bucket's own, or one of the whole account."""
    own = belonging("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "bucket", "bucket")
    account = anywhere("aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock")
    lacking = "a BucketPublicAccessBlock of the bucket"
    return one_relation(related(own, lacking), related(account, lacking))


_GKE = any_of(
    equals("privateClusterConfig.enablePrivateEndpoint", True),
    all_of(
        equals("controlPlaneEndpointsConfig.ipEndpointsConfig.enabled", False),
        none_of("controlPlaneEndpointsConfig.dnsEndpointConfig.allowExternalTraffic", (True,)),
    ),
)
_INTERNAL_INGRESS = ("INGRESS_TRAFFIC_INTERNAL_ONLY", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER")
_CLOUD_SQL = all_of(
    equals("settings.ipConfiguration.ipv4Enabled", False, True, f"{_GCP}/sql/databaseinstance/"),
    absent("settings.ipConfiguration.authorizedNetworks", "no public network"),
)
_FLEXIBLE_SERVER = any_of(present("network.delegatedSubnetResourceId"), _closed("network.publicNetworkAccess"))

RULES = (
    Rule(
        "MLB-NET-001",
        "Object storage can't be opened to everyone.",
        Severity.CRITICAL,
        "Block public access on the bucket or the storage account, and keep containers and lists of access private.",
        checks={
            "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _blocked(),
            "aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock": _blocked(page="s3/accountpublicaccessblock"),
            "aws:s3/accessPoint:AccessPoint": _blocked("publicAccessBlockConfiguration.", True, "s3/accesspoint"),
            "aws:s3/bucketAcl:BucketAcl": none_of("acl", _PUBLIC_ACLS),
            "gcp:storage/bucket:Bucket": equals(
                "publicAccessPrevention", "enforced", "inherited", f"{_GCP}/storage/bucket/"
            ),
            "azure-native:storage:StorageAccount": equals(
                "allowBlobPublicAccess", False, False, f"{_AZURE}/storage/storageaccount/"
            ),
            "azure-native:storage:BlobContainer": equals(
                "publicAccess",
                "None",
                "None",
                "https://azure.github.io/PSRule.Rules.Azure/en/rules/Azure.Storage.BlobAccessType/",
            ),
        },
        relations={"aws:s3/bucket:Bucket": _own_block()},
        references=(
            "checkov:CKV_AWS_53",
            "checkov:CKV_AWS_54",
            "checkov:CKV_AWS_55",
            "checkov:CKV_AWS_56",
            "checkov:CKV_AWS_392",
            "checkov:CKV2_AWS_6",
            "checkov:CKV_GCP_114",
            "checkov:CKV_AZURE_34",
            "checkov:CKV_AZURE_190",
            "checkov:CKV2_AZURE_50",
        ),
        differs={
            "checkov:CKV2_AZURE_50": "Every storage account is closed, not only that of a workspace of high impact.",
            "checkov:CKV2_AWS_6": "A block of the whole account in the same stack counts for its buckets.",
        },
        remedies={
            "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": sets(dict.fromkeys(_BLOCKS, True)),
            "gcp:storage/bucket:Bucket": sets({"publicAccessPrevention": "enforced"}),
            "azure-native:storage:StorageAccount": sets({"allowBlobPublicAccess": False}),
        },
        exemptible=False,
    ),
    Rule(
        "MLB-NET-002",
        "Storage, vaults and registries of images refuse the public network.",
        Severity.HIGH,
        "Switch public network access off and reach the service by its private endpoint.",
        checks={
            "aws:secretsmanager/secretPolicy:SecretPolicy": equals("blockPublicPolicy", True),
            "aws:s3/accessPoint:AccessPoint": present("vpcConfiguration.vpcId"),
            "azure-native:storage:StorageAccount": _closed(perimeter=True),
            "azure-native:keyvault:Vault": _closed("properties.publicNetworkAccess"),
            "azure-native:keyvault:ManagedHsm": _closed("properties.publicNetworkAccess"),
            "azure-native:appconfiguration:ConfigurationStore": _closed(),
            "azure-native:containerregistry:Registry": all_of(_closed(), none_of("anonymousPullEnabled", (True,))),
            "azure-native:machinelearningservices:Registry": _closed(),
        },
        missing={
            "gcp": "Cloud Storage, Secret Manager and Artifact Registry have no switch for the public network: who may "
            "reach them is decided by grants (MLB-IAM) and by a perimeter of VPC Service Controls of the organisation."
        },
        references=(
            "checkov:CKV_AZURE_35",
            "checkov:CKV_AZURE_59",
            "checkov:CKV_AZURE_109",
            "checkov:CKV_AZURE_139",
            "checkov:CKV_AZURE_185",
            "checkov:CKV_AZURE_189",
        ),
        differs={
            "checkov:CKV_AZURE_35": "A list of public addresses isn't enough: the public network is off.",
        },
    ),
    Rule(
        "MLB-NET-003",
        "Databases, warehouses, search and caches have no public address.",
        Severity.CRITICAL,
        "Put it into subnets of the private network, or switch its public access off.",
        checks={
            "aws:rds/instance:Instance": _not_public("rds/instance"),
            "aws:rds/clusterInstance:ClusterInstance": _not_public("rds/clusterinstance"),
            "aws:neptune/clusterInstance:ClusterInstance": _not_public("neptune/clusterinstance"),
            "aws:redshift/cluster:Cluster": _not_public("redshift/cluster"),
            "aws:redshiftserverless/workgroup:Workgroup": equals("publiclyAccessible", False),
            "aws:timestreaminfluxdb/dbInstance:DbInstance": equals("publiclyAccessible", False),
            "aws:dms/replicationInstance:ReplicationInstance": equals(
                "publiclyAccessible",
                False,
                True,
                "https://docs.aws.amazon.com/dms/latest/APIReference/API_CreateReplicationInstance.html",
            ),
            "aws:opensearch/domain:Domain": present("vpcOptions.subnetIds"),
            "gcp:sql/databaseInstance:DatabaseInstance": _CLOUD_SQL,
            "gcp:alloydb/instance:Instance": none_of("networkConfig.enablePublicIp", (True,)),
            "azure-native:sql:Server": _closed(perimeter=True),
            "azure-native:dbforpostgresql:Server": _FLEXIBLE_SERVER,
            "azure-native:dbformysql:Server": _FLEXIBLE_SERVER,
            "azure-native:cosmosdb:DatabaseAccount": _closed(perimeter=True),
            "azure-native:kusto:Cluster": _closed(page="kusto/cluster"),
            "azure-native:redis:Redis": any_of(_closed(), present("subnetId")),
            "azure-native:redisenterprise:RedisEnterprise": _closed(),
        },
        references=(
            "checkov:CKV_AWS_17",
            "checkov:CKV_AWS_87",
            "checkov:CKV_AWS_89",
            "checkov:CKV_AWS_102",
            "checkov:CKV_AWS_137",
            "checkov:CKV_GCP_60",
            "checkov:CKV_AZURE_53",
            "checkov:CKV_AZURE_68",
            "checkov:CKV_AZURE_89",
            "checkov:CKV_AZURE_101",
            "checkov:CKV_AZURE_113",
        ),
        differs={
            "checkov:CKV_GCP_60": "An instance that says nothing has a public address, and fails.",
        },
    ),
    Rule(
        "MLB-NET-004",
        "Event streams and buses refuse the public network.",
        Severity.HIGH,
        "Switch public network access off and let producers and consumers come by a private endpoint.",
        checks={
            "aws:msk/cluster:Cluster": none_of(
                "brokerNodeGroupInfo.connectivityInfo.publicAccess.type", ("SERVICE_PROVIDED_EIPS",)
            ),
            "aws:mq/broker:Broker": none_of("publiclyAccessible", (True,)),
            "azure-native:eventhub:Namespace": _closed(perimeter=True, page="eventhub/namespace"),
            "azure-native:eventhub:NamespaceNetworkRuleSet": _closed(
                perimeter=True, page="eventhub/namespacenetworkruleset"
            ),
            "azure-native:servicebus:Namespace": _closed(perimeter=True, page="servicebus/namespace"),
            "azure-native:eventgrid:Topic": _closed(page="eventgrid/topic"),
            "azure-native:eventgrid:Domain": _closed(page="eventgrid/domain"),
            "azure-native:eventgrid:Namespace": _closed(page="eventgrid/namespace"),
        },
        missing={
            "gcp": "Pub/Sub has no switch for the public network: who may publish and read is decided by grants "
            "(MLB-IAM) and by a perimeter of VPC Service Controls of the organisation."
        },
        references=(
            "checkov:CKV_AWS_69",
            "checkov:CKV_AWS_291",
            "checkov:CKV_AZURE_106",
            "checkov:CKV_AZURE_193",
            "checkov:CKV_AZURE_204",
        ),
    ),
    Rule(
        "MLB-NET-005",
        "Workspaces for machine learning and data, and AI services, refuse the public network.",
        Severity.HIGH,
        "Switch public network access off and open the workspace by its private endpoint or from the private network.",
        checks={
            "aws:mwaa/environment:Environment": equals(
                "webserverAccessMode", "PRIVATE_ONLY", "PRIVATE_ONLY", f"{_AWS}/mwaa/environment/"
            ),
            "aws:sagemaker/workforce:Workforce": any_of(
                present("workforceVpcConfig.vpcId"), present("sourceIpConfig.cidrs")
            ),
            "gcp:composer/environment:Environment": any_of(
                equals("config.enablePrivateEnvironment", True),
                equals("config.privateEnvironmentConfig.enablePrivateEndpoint", True),
            ),
            "azure-native:machinelearningservices:Workspace": all_of(
                _closed(), none_of("allowPublicAccessWhenBehindVnet", (True,))
            ),
            "azure-native:cognitiveservices:Account": _closed("properties.publicNetworkAccess"),
            "azure-native:search:Service": _closed(perimeter=True, page="search/service"),
            "azure-native:databricks:Workspace": _closed(),
            "azure-native:synapse:Workspace": _closed(),
            "azure-native:datafactory:Factory": _closed(),
        },
        references=(
            "checkov:CKV_AZURE_104",
            "checkov:CKV_AZURE_124",
            "checkov:CKV_AZURE_134",
            "checkov:CKV_AZURE_144",
            "checkov:CKV2_AZURE_49",
            "azure-policy:Workspace_PublicNetworkAccessDisabled_Audit",
            "azure-policy:Workspace_PublicNetworkAccessDisabled_Modify",
        ),
        differs={
            "checkov:CKV_AZURE_144": "A workspace that says nothing is open to the public network, and fails.",
        },
    ),
    Rule(
        "MLB-NET-006",
        "Endpoints that serve models, vectors or features are private.",
        Severity.HIGH,
        "Give the endpoint a private network or Private Service Connect, or switch its public access off.",
        checks={
            "aws:lb/loadBalancer:LoadBalancer": equals("internal", True, False, f"{_AWS}/lb/loadbalancer/"),
            "aws:apigateway/restApi:RestApi": equals(
                "endpointConfiguration.types", "PRIVATE", "EDGE", f"{_AWS}/apigateway/restapi/"
            ),
            "gcp:vertex/aiEndpoint:AiEndpoint": any_of(
                equals("privateServiceConnectConfig.enablePrivateServiceConnect", True), present("network")
            ),
            "gcp:vertex/aiIndexEndpoint:AiIndexEndpoint": none_of("publicEndpointEnabled", (True,)),
            "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore": when(
                absent("bigtable"),
                equals("dedicatedServingEndpoint.privateServiceConnectConfig.enablePrivateServiceConnect", True),
            ),
            "azure-native:machinelearningservices:OnlineEndpoint": _closed("properties.publicNetworkAccess"),
            "azure-native:apimanagement:ApiManagementService": any_of(
                equals(
                    "virtualNetworkType",
                    "Internal",
                    "None",
                    "https://learn.microsoft.com/azure/api-management/virtual-network-concepts",
                ),
                _closed(),
            ),
        },
        references=("checkov:CKV2_GCP_33", "checkov:CKV2_GCP_34"),
        differs={
            "checkov:CKV2_GCP_33": "Private Service Connect counts as well as a peered network.",
        },
    ),
    Rule(
        "MLB-NET-007",
        "Services, functions and containers take no calls straight from the internet.",
        Severity.HIGH,
        "Let in internal traffic only, or traffic through a load balancer.",
        checks={
            "aws:lambda/functionUrl:FunctionUrl": equals("authorizationType", "AWS_IAM"),
            "gcp:cloudfunctionsv2/function:Function": one_of(
                "serviceConfig.ingressSettings",
                ("ALLOW_INTERNAL_ONLY", "ALLOW_INTERNAL_AND_GCLB"),
                "ALLOW_ALL",
                f"{_GCP}/cloudfunctionsv2/function/",
            ),
            "gcp:cloudfunctions/function:Function": one_of(
                "ingressSettings", ("ALLOW_INTERNAL_ONLY", "ALLOW_INTERNAL_AND_GCLB")
            ),
            "azure-native:app:ManagedEnvironment": any_of(equals("vnetConfiguration.internal", True), _closed()),
            "azure-native:web:WebApp": any_of(_closed(), _closed("siteConfig.publicNetworkAccess")),
        },
        relations={
            # API Gateway isn't in the network; what it is the way to, it alone may invoke (MLB-IAM-016).
            "gcp:cloudrunv2/service:Service": one_relation(
                itself(
                    one_of(
                        "ingress",
                        _INTERNAL_INGRESS,
                        "INGRESS_TRAFFIC_ALL",
                        "https://docs.cloud.google.com/run/docs/securing/ingress",
                    )
                ),
                related(dependents(GCP_API_CONFIG), "no gateway is before it"),
            ),
        },
        references=("checkov:CKV_AWS_258", "checkov:CKV_AZURE_221", "checkov:CKV_AZURE_222", "checkov:CKV_GCP_124"),
    ),
    Rule(
        "MLB-NET-008",
        "The control planes of Kubernetes clusters have no public address.",
        Severity.CRITICAL,
        "Switch the public endpoint off and administer the cluster from the private network.",
        checks={
            "aws:eks/cluster:Cluster": equals("vpcConfig.endpointPublicAccess", False, True, f"{_AWS}/eks/cluster/"),
            "gcp:container/cluster:Cluster": _GKE,
            "azure-native:containerservice:ManagedCluster": any_of(
                equals("apiServerAccessProfile.enablePrivateCluster", True), _closed()
            ),
        },
        references=(
            "checkov:CKV_AWS_38",
            "checkov:CKV_AWS_39",
            "checkov:CKV_GCP_18",
            "checkov:CKV_GCP_25",
            "checkov:CKV_AZURE_115",
        ),
    ),
    Rule(
        "MLB-NET-009",
        "Logs and metrics are taken in from the private network only.",
        Severity.MEDIUM,
        "Switch public ingestion off and join the workspace to a private link scope.",
        checks={
            "azure-native:operationalinsights:Workspace": _closed("publicNetworkAccessForIngestion"),
            "azure-native:applicationinsights:Component": _closed("publicNetworkAccessForIngestion"),
        },
        missing={
            "aws": "CloudWatch has no switch for the public network: workloads reach it by an interface endpoint "
            "(MLB-NET-019).",
            "gcp": "Cloud Logging and Monitoring have no switch for the public network: workloads reach them by "
            "Private Google Access (MLB-NET-019).",
        },
    ),
)
