"""Data at rest under the customer's own keys: endpoints, lakes, events, images, features, databases and logs."""

from ml_policies.checks import Check, absent, all_of, any_of, each, equals, matches, none_of, one_of, present, when
from ml_policies.relations import belonging, dependencies, either, itself, one_relation, related
from ml_policies.rule import Rule, Severity
from ml_policies.rules.encryption.own_keys import REGISTRY, WORKSPACE, own_key, own_keys, workspace_key
from ml_policies.scoring import GCP_MODEL

BUCKETS = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
BUCKET_ENCRYPTIONS = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",
)
OBJECTS = ("aws:s3/bucketObjectv2:BucketObjectv2", "aws:s3/bucketObject:BucketObject")
DATASET = "gcp:bigquery/dataset:Dataset"


# Instances with disks of their own encrypt these in hardware; SageMaker refuses a key for an endpoint with such a one.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html, and for the families
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-store-volumes.html
_NO_LOCAL_DISKS = matches(
    "productionVariants[].instanceType",
    r"(?!ml\.([a-z]+\d[a-z]*d[a-z]*|g[56][a-z]*|p5[a-z]*|trn\d[a-z]*|i\d[a-z]*)\.).*",
    "an instance without disks of its own",
    default="",
)


def _by_default(prefix: str) -> Check:
    """Rules of a bucket's encryption that encrypt with KMS and a key of one's own."""
    return all_of(
        one_of(f"{prefix}.sseAlgorithm", ("aws:kms", "aws:kms:dsse")),
        own_key(f"{prefix}.kmsMasterKeyId"),
    )


_BUCKET_ENCRYPTION = all_of(present("rules"), _by_default("rules[].applyServerSideEncryptionByDefault"))

# S3 delivers its access logs to buckets that encrypt with S3's own keys only.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
_BUCKET_ENCRYPTED_OR_LOGS = one_relation(
    itself(_BUCKET_ENCRYPTION),
    related(
        belonging("aws:s3/bucketLogging:BucketLogging", "targetBucket", "bucket"),
        "a BucketLogging that makes the bucket the place of S3's access logs",
    ),
)

# Beside the bucket, where it is checked by itself, or in the bucket.
_BUCKET_ENCRYPTED = one_relation(
    related(
        either(*(belonging(type_, "bucket", "bucket") for type_ in BUCKET_ENCRYPTIONS)),
        "a BucketServerSideEncryptionConfiguration with a customer-managed key",
    ),
    itself(_by_default("serverSideEncryptionConfiguration.rule.applyServerSideEncryptionByDefault")),
)

# An object without words of its own has the key of its bucket, which is checked by itself.
_OBJECT_ENCRYPTED = any_of(
    own_key("kmsKeyId"),
    all_of(absent("kmsKeyId"), none_of("serverSideEncryption", ("AES256", "aws:kms", "aws:kms:dsse"))),
)

# What people choose for a query's results counts for nothing where the workgroup is enforced.
# https://docs.aws.amazon.com/athena/latest/ug/workgroups-settings-override.html
_RESULTS_ENCRYPTED = all_of(
    equals(
        "configuration.enforceWorkgroupConfiguration",
        True,
        default=True,
        source=REGISTRY + "aws/api-docs/athena/workgroup/",
    ),
    one_of("configuration.resultConfiguration.encryptionConfiguration.encryptionOption", ("SSE_KMS", "CSE_KMS")),
    own_key("configuration.resultConfiguration.encryptionConfiguration.kmsKeyArn"),
)

# A table without a key has that of its dataset, which is checked by itself.
_TABLE_ENCRYPTED = one_relation(
    itself(own_key("encryptionConfiguration.kmsKeyName")),
    related(dependencies(DATASET), "a dataset of this stack"),
)


def _encrypted(switch: str, key: str, source: str) -> Check:
    """A switch, off unless it is set, with a key."""
    return all_of(equals(switch, True, default=False, source=REGISTRY + source), own_key(key))


RULES = (
    Rule(
        "MLB-ENC-001",
        "What an endpoint keeps is encrypted with a customer-managed key.",
        Severity.HIGH,
        "Give the endpoint, its configuration or its workspace the key of the platform.",
        checks={
            "aws:sagemaker/endpointConfiguration:EndpointConfiguration": all_of(
                when(_NO_LOCAL_DISKS, own_key("kmsKeyArn")),
                each("asyncInferenceConfig", own_key("outputConfig.kmsKeyId")),
                each("productionVariants[].coreDumpConfig", own_key("kmsKeyId")),
                when(
                    equals(
                        "dataCaptureConfig.enableCapture",
                        True,
                        default=False,
                        source=REGISTRY + "aws/api-docs/sagemaker/endpointconfiguration/",
                    ),
                    own_key("dataCaptureConfig.kmsKeyId"),
                ),
            ),
            **own_keys(
                "encryptionSpec.kmsKeyName",
                "gcp:vertex/aiEndpoint:AiEndpoint",
                "gcp:vertex/aiIndexEndpoint:AiIndexEndpoint",
                "gcp:vertex/aiReasoningEngine:AiReasoningEngine",
            ),
            "gcp:cloudrunv2/service:Service": own_key("template.encryptionKey"),
            GCP_MODEL: own_key("encryption_key"),
            WORKSPACE: workspace_key(),
            "azure-native:cognitiveservices:Account": all_of(
                equals(
                    "properties.encryption.keySource",
                    "Microsoft.KeyVault",
                    default="Microsoft.CognitiveServices",
                    source="https://learn.microsoft.com/azure/ai-services/encryption/cognitive-services-encryption-keys-portal",
                ),
                own_key("properties.encryption.keyVaultProperties.keyName"),
            ),
        },
        references=(
            "checkov:CKV_AWS_98",
            "checkov:CKV2_GCP_24",
            "checkov:CKV2_AZURE_22",
            "azure-policy:Workspace_CMKEnabled_Audit",
            "azure-policy:Workspace_CMKEnabled_Audit_V2",
            "cdk-nag:SageMakerEndpointConfigurationKMSKeyConfigured",
            "prowler:sagemaker_endpoint_config_kms_encryption_enabled",
        ),
        differs={
            "checkov:CKV_AWS_98": "We also ask for a key of what is captured, answered asynchronously or dumped.",
        },
    ),
    Rule(
        "MLB-ENC-002",
        "Stored files and disks are encrypted with a customer-managed key.",
        Severity.HIGH,
        "Set the key of the platform as the default key of the bucket, the storage account or the disk.",
        checks={
            "aws:efs/fileSystem:FileSystem": _encrypted("encrypted", "kmsKeyId", "aws/api-docs/efs/filesystem/"),
            "aws:ebs/volume:Volume": _encrypted("encrypted", "kmsKeyId", "aws/api-docs/ebs/volume/"),
            **dict.fromkeys(OBJECTS, _OBJECT_ENCRYPTED),
            "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": each(
                "extendedS3Configuration", own_key("kmsKeyArn")
            ),
            "aws:athena/workgroup:Workgroup": _RESULTS_ENCRYPTED,
            "gcp:storage/bucket:Bucket": own_key("encryption.defaultKmsKeyName"),
            "gcp:compute/disk:Disk": own_key("diskEncryptionKey.kmsKeySelfLink"),
            "gcp:filestore/instance:Instance": own_key("kmsKeyName"),
            "azure-native:storage:StorageAccount": all_of(
                equals(
                    "encryption.keySource",
                    "Microsoft.Keyvault",
                    default="Microsoft.Storage",
                    source="https://learn.microsoft.com/azure/storage/common/storage-service-encryption",
                ),
                own_key("encryption.keyVaultProperties.keyName"),
            ),
            "azure-native:compute:Disk": own_key("encryption.diskEncryptionSetId"),
        },
        relations={
            **dict.fromkeys(BUCKETS, _BUCKET_ENCRYPTED),
            **dict.fromkeys(BUCKET_ENCRYPTIONS, _BUCKET_ENCRYPTED_OR_LOGS),
        },
        references=(
            "checkov:CKV_AWS_19",
            "checkov:CKV_AWS_145",
            "checkov:CKV_AWS_42",
            "checkov:CKV_AWS_184",
            "checkov:CKV_AWS_3",
            "checkov:CKV_AWS_189",
            "checkov:CKV_AWS_82",
            "checkov:CKV_AWS_159",
            "checkov:CKV_AWS_186",
            "checkov:CKV_GCP_37",
            "checkov:CKV2_AZURE_1",
            "checkov:CKV_AZURE_93",
        ),
        differs={
            "checkov:CKV_AWS_145": "KMS without a key of one's own is the key of AWS: it passes there and fails here.",
            "checkov:CKV_AWS_186": "An object without a key has that of its bucket: it fails there and passes here.",
        },
    ),
    Rule(
        "MLB-ENC-003",
        "Streams, queues and topics are encrypted with a customer-managed key.",
        Severity.HIGH,
        "Give the stream, the queue, the topic or its namespace the key of the platform.",
        checks={
            "aws:kinesis/stream:Stream": all_of(
                equals("encryptionType", "KMS", default="NONE", source=REGISTRY + "aws/api-docs/kinesis/stream/"),
                own_key("kmsKeyId"),
            ),
            "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": any_of(
                all_of(
                    _encrypted(
                        "serverSideEncryption.enabled",
                        "serverSideEncryption.keyArn",
                        "aws/api-docs/kinesis/firehosedeliverystream/",
                    ),
                    equals(
                        "serverSideEncryption.keyType",
                        "CUSTOMER_MANAGED_CMK",
                        default="AWS_OWNED_CMK",
                        source=REGISTRY + "aws/api-docs/kinesis/firehosedeliverystream/",
                    ),
                ),
                # What is read from a Kinesis stream is encrypted by that stream.
                present("kinesisSourceConfiguration"),
            ),
            "aws:msk/cluster:Cluster": own_key("encryptionInfo.encryptionAtRestKmsKeyArn"),
            **own_keys("kmsMasterKeyId", "aws:sqs/queue:Queue", "aws:sns/topic:Topic"),
            "aws:cloudwatch/eventBus:EventBus": own_key("kmsKeyIdentifier"),
            "gcp:pubsub/topic:Topic": own_key("kmsKeyName"),
            "gcp:managedkafka/cluster:Cluster": own_key("gcpConfig.kmsKey"),
            **dict.fromkeys(
                ("azure-native:eventhub:Namespace", "azure-native:servicebus:Namespace"),
                all_of(
                    present("encryption.keyVaultProperties"),
                    own_key("encryption.keyVaultProperties[].keyName"),
                ),
            ),
        },
        references=(
            "checkov:CKV_AWS_43",
            "checkov:CKV_AWS_185",
            "checkov:CKV_AWS_240",
            "checkov:CKV_AWS_241",
            "checkov:CKV_AWS_26",
            "checkov:CKV_AWS_27",
            "checkov:CKV2_AWS_73",
            "checkov:CKV_GCP_83",
            "checkov:CKV_AZURE_201",
        ),
        differs={
            "checkov:CKV_AWS_27": "Keys that SQS manages are enough there; here the key must be the customer's own.",
            "checkov:CKV_AWS_26": "The key `alias/aws/sns` is enough there; here the key must be the customer's own.",
        },
    ),
    Rule(
        "MLB-ENC-004",
        "Registries of images and packages are encrypted with a customer-managed key.",
        Severity.MEDIUM,
        "Create the registry with the key of the platform; most can't be given one later.",
        checks={
            "aws:ecr/repository:Repository": all_of(
                present("encryptionConfigurations"),
                one_of(
                    "encryptionConfigurations[].encryptionType",
                    ("KMS", "KMS_DSSE"),
                    default="AES256",
                    source=REGISTRY + "aws/api-docs/ecr/repository/",
                ),
                own_key("encryptionConfigurations[].kmsKey"),
            ),
            "gcp:artifactregistry/repository:Repository": own_key("kmsKeyName"),
            "azure-native:containerregistry:Registry": all_of(
                own_key("encryption.keyVaultProperties.keyIdentifier"), none_of("encryption.status", ("disabled",))
            ),
        },
        references=("checkov:CKV_AWS_136", "checkov:CKV_GCP_84"),
        differs={
            "checkov:CKV_AWS_136": "KMS without a key of one's own is the key of AWS: it passes there and fails here.",
        },
    ),
    Rule(
        "MLB-ENC-005",
        "Feature stores, online and offline, are encrypted with a customer-managed key.",
        Severity.HIGH,
        "Give both stores of the feature group, or the store behind them, the key of the platform.",
        checks={
            "aws:sagemaker/featureGroup:FeatureGroup": all_of(
                each("offlineStoreConfig", own_key("s3StorageConfig.kmsKeyId")),
                when(
                    equals(
                        "onlineStoreConfig.enableOnlineStore",
                        True,
                        default=False,
                        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_OnlineStoreConfig.html",
                    ),
                    own_key("onlineStoreConfig.securityConfig.kmsKeyId"),
                ),
            ),
            **own_keys(
                "encryptionSpec.kmsKeyName",
                "gcp:vertex/aiFeatureStore:AiFeatureStore",
                "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore",
            ),
            "azure-native:redisenterprise:RedisEnterprise": own_key(
                "encryption.customerManagedKeyEncryption.keyEncryptionKeyUrl"
            ),
            WORKSPACE: when(
                equals(
                    "kind",
                    "FeatureStore",
                    default="Default",
                    source="https://learn.microsoft.com/azure/templates/microsoft.machinelearningservices/workspaces",
                ),
                workspace_key(),
            ),
        },
        references=("checkov:CKV2_GCP_25", "security-hub:SageMaker.17", "security-hub:SageMaker.18"),
    ),
    Rule(
        "MLB-ENC-006",
        "Databases and warehouses are encrypted with a customer-managed key.",
        Severity.HIGH,
        "Create the database with the key of the platform; most can't be given one later.",
        checks={
            **dict.fromkeys(
                ("aws:rds/instance:Instance", "aws:rds/cluster:Cluster", "aws:docdb/cluster:Cluster"),
                _encrypted("storageEncrypted", "kmsKeyId", "aws/api-docs/rds/instance/"),
            ),
            "aws:dynamodb/table:Table": _encrypted(
                "serverSideEncryption.enabled", "serverSideEncryption.kmsKeyArn", "aws/api-docs/dynamodb/table/"
            ),
            "aws:opensearch/domain:Domain": _encrypted(
                "encryptAtRest.enabled", "encryptAtRest.kmsKeyId", "aws/api-docs/opensearch/domain/"
            ),
            **own_keys(
                "kmsKeyId",
                "aws:redshift/cluster:Cluster",
                "aws:redshiftserverless/namespace:Namespace",
                "aws:elasticache/replicationGroup:ReplicationGroup",
                "aws:elasticache/serverlessCache:ServerlessCache",
            ),
            "aws:memorydb/cluster:Cluster": own_key("kmsKeyArn"),
            DATASET: own_key("defaultEncryptionConfiguration.kmsKeyName"),
            "gcp:bigtable/instance:Instance": all_of(present("clusters"), own_key("clusters[].kmsKeyName")),
            "gcp:sql/databaseInstance:DatabaseInstance": own_key("encryptionKeyName"),
            "gcp:spanner/database:Database": any_of(
                own_key("encryptionConfig.kmsKeyName"), present("encryptionConfig.kmsKeyNames")
            ),
            "gcp:firestore/database:Database": own_key("cmekConfig.kmsKeyName"),
            "gcp:alloydb/cluster:Cluster": own_key("encryptionConfig.kmsKeyName"),
            "gcp:redis/instance:Instance": own_key("customerManagedKey"),
            **own_keys("kmsKey", "gcp:redis/cluster:Cluster", "gcp:memorystore/instance:Instance"),
            "azure-native:cosmosdb:DatabaseAccount": own_key("keyVaultKeyUri"),
            "azure-native:sql:Server": own_key("keyId"),
            "azure-native:dbforpostgresql:Server": own_key("dataEncryption.primaryKeyURI"),
            "azure-native:kusto:Cluster": own_key("keyVaultProperties.keyName"),
        },
        relations={"gcp:bigquery/table:Table": _TABLE_ENCRYPTED},
        references=(
            "checkov:CKV_AWS_16",
            "checkov:CKV_AWS_96",
            "checkov:CKV_AWS_327",
            "checkov:CKV_AWS_74",
            "checkov:CKV_AWS_182",
            "checkov:CKV_AWS_119",
            "checkov:CKV_AWS_5",
            "checkov:CKV_AWS_247",
            "checkov:CKV_AWS_64",
            "checkov:CKV_AWS_142",
            "checkov:CKV_AWS_282",
            "checkov:CKV_AWS_29",
            "checkov:CKV_AWS_191",
            "checkov:CKV_AWS_201",
            "checkov:CKV_GCP_80",
            "checkov:CKV_GCP_81",
            "checkov:CKV_GCP_85",
            "checkov:CKV_GCP_93",
            "checkov:CKV_AZURE_100",
            "checkov:CKV2_AZURE_11",
            "checkov:CKV2_AZURE_17",
        ),
        differs={
            "checkov:CKV_GCP_80": "A table without a key has that of its dataset: it passes if the dataset is checked.",
        },
    ),
    Rule(
        "MLB-ENC-007",
        "Logs are encrypted with a customer-managed key.",
        Severity.MEDIUM,
        "Give the log group, the log bucket, the trail or the cluster of Log Analytics the key of the platform.",
        checks={
            **own_keys(
                "kmsKeyId",
                "aws:cloudwatch/logGroup:LogGroup",
                "aws:cloudtrail/trail:Trail",
                "aws:cloudtrail/eventDataStore:EventDataStore",
            ),
            **own_keys(
                "cmekSettings.kmsKeyName",
                "gcp:logging/projectBucketConfig:ProjectBucketConfig",
                "gcp:logging/folderBucketConfig:FolderBucketConfig",
                "gcp:logging/organizationBucketConfig:OrganizationBucketConfig",
            ),
            # A workspace of Log Analytics has a key only through a dedicated cluster, which not every one has.
            "azure-native:operationalinsights:Cluster": own_key("keyVaultProperties.keyName"),
        },
        references=("checkov:CKV_AWS_158", "checkov:CKV_AWS_35", "checkov:CKV_AWS_294"),
    ),
)
