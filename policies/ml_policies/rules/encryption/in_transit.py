"""Encryption in transit: versions of TLS, no plain connections, and what the containers of a job tell each other."""

from collections.abc import Iterator
from dataclasses import dataclass

from ml_policies.checks import (
    Check,
    Result,
    Scope,
    Undecided,
    Wrong,
    all_of,
    any_of,
    each,
    equals,
    matches,
    none_of,
    one_of,
    present,
    when,
)
from ml_policies.job_definitions import each_step
from ml_policies.policy_documents import Statement, Truth, all_true, any_true, is_not, statements
from ml_policies.relations import belonging, dependencies, itself, one_relation, related
from ml_policies.remedies import sets
from ml_policies.resource import MISSING, UNKNOWN
from ml_policies.rule import Rule, Severity
from ml_policies.rules.encryption.own_keys import REGISTRY

_LISTENERS = ("aws:lb/listener:Listener", "aws:alb/listener:Listener")
_LISTENER = REGISTRY + "aws/api-docs/lb/listener/"
_OPENSEARCH = REGISTRY + "aws/api-docs/opensearch/domain/"
_MSK = REGISTRY + "aws/api-docs/msk/cluster/"
_REDIS = "https://learn.microsoft.com/azure/azure-cache-for-redis/cache-remove-tls-10-11"

_TLS_1_2 = ("1.2", "1.3")
_OF_LISTENER = matches(
    "sslPolicy",
    r"(?i)ELBSecurityPolicy-(TLS13-1-[23]|TLS-1-2|FS-1-2)-.+",
    "a policy that begins with TLS 1.2",
    default="ELBSecurityPolicy-2016-08",
    source=_LISTENER,
)
_SSL_POLICY = one_of(
    "minTlsVersion",
    ("TLS_1_2", "TLS_1_3"),
    default="TLS_1_0",
    source=REGISTRY + "gcp/api-docs/compute/sslpolicy/",
)


def _on(path: str, default: bool, source: str) -> Check:
    return equals(path, True, default=default, source=source)


def _tls(path: str, default: str, source: str) -> Check:
    return one_of(path, _TLS_1_2, default=default, source=source)


@dataclass(frozen=True, slots=True)
class _DeniesPlainTransport:
    """A policy denies everyone every request that doesn't come over TLS."""

    path: str

    def __call__(self, scope: Scope) -> Iterator[Result]:
        for path, value in scope.values(self.path):
            truth = any_true(_denies(statement) for statement in statements(value, path) or ())
            if truth is UNKNOWN:
                yield Undecided(path)
            elif not truth:
                yield Wrong(path, MISSING, "a statement that denies everyone requests without `aws:SecureTransport`")


def _denies(statement: Statement) -> Truth:
    objects = any_true(UNKNOWN if one is UNKNOWN else str(one).endswith("*") for one in statement.resources or ())
    plain = any_true(
        UNKNOWN
        if condition.operator is UNKNOWN
        else condition.operator in ("bool", "boolifexists")
        and condition.key == "aws:securetransport"
        and [str(value).casefold() for value in condition.values] == ["false"]
        for condition in statement.conditions
    )
    others = len(statement.conditions) <= 1
    return all_true(
        (
            is_not(statement.allows),
            statement.everyone,
            statement.grants("s3:getobject"),
            statement.grants("s3:putobject"),
            objects,
            plain,
            others,
        )
    )


_BUCKET_DENIES = one_relation(
    related(
        belonging("aws:s3/bucketPolicy:BucketPolicy", "bucket", "bucket"),
        "a BucketPolicy that denies everyone requests without `aws:SecureTransport`",
        _DeniesPlainTransport("policy"),
    ),
    itself(_DeniesPlainTransport("policy")),
)


def _between(path: str) -> Check:
    """Encryption between the containers of a job, off unless it is set."""
    return equals(
        path, True, default=False, source="https://docs.aws.amazon.com/sagemaker/latest/dg/train-encrypt.html"
    )


def _between_in_step(path: str) -> Check:
    return any_of(_between(path), present(f"{path}.Get"))


_ENCRYPT = "EnableInterContainerTrafficEncryption"
_STEPS = {
    "Training": _between_in_step(_ENCRYPT),
    "Tuning": _between_in_step(f"TrainingJobDefinition.{_ENCRYPT}"),
    "Processing": _between_in_step(f"NetworkConfig.{_ENCRYPT}"),
}

RULES = (
    Rule(
        "MLB-ENC-016",
        "Connections are refused below TLS 1.2.",
        Severity.HIGH,
        "Set the least version to TLS 1.2, or choose a policy that begins there.",
        checks={
            **dict.fromkeys(
                _LISTENERS,
                when(one_of("protocol", ("HTTPS", "TLS"), default="HTTP", source=_LISTENER), _OF_LISTENER),
            ),
            "aws:apigateway/domainName:DomainName": matches(
                "securityPolicy", r"TLS_1_2|SecurityPolicy_TLS1[23]_.+", "a policy that begins with TLS 1.2"
            ),
            "aws:cloudfront/distribution:Distribution": matches(
                "viewerCertificate.minimumProtocolVersion",
                r"TLSv1\.[23]_.+",
                "a version from `TLSv1.2_2018` on",
                default="TLSv1",
                source="https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_ViewerCertificate.html",
            ),
            "aws:opensearch/domain:Domain": matches(
                "domainEndpointOptions.tlsSecurityPolicy",
                r"Policy-Min-TLS-1-2-.+",
                "a policy that begins with TLS 1.2",
                default="Policy-Min-TLS-1-0-2019-07",
                source="https://docs.aws.amazon.com/opensearch-service/latest/APIReference/API_DomainEndpointOptions.html",
            ),
            **dict.fromkeys(
                ("gcp:compute/sSLPolicy:SSLPolicy", "gcp:compute/regionSslPolicy:RegionSslPolicy"), _SSL_POLICY
            ),
            # Without a policy of its own a load balancer of Google takes TLS 1.0.
            **dict.fromkeys(
                (
                    "gcp:compute/targetHttpsProxy:TargetHttpsProxy",
                    "gcp:compute/regionTargetHttpsProxy:RegionTargetHttpsProxy",
                    "gcp:compute/targetSSLProxy:TargetSSLProxy",
                ),
                present("sslPolicy"),
            ),
            "azure-native:storage:StorageAccount": one_of(
                "minimumTlsVersion",
                ("TLS1_2", "TLS1_3"),
                default="TLS1_0",
                source=REGISTRY + "azure-native/api-docs/storage/storageaccount/",
            ),
            **dict.fromkeys(
                ("azure-native:eventhub:Namespace", "azure-native:servicebus:Namespace"),
                _tls(
                    "minimumTlsVersion",
                    "1.2",
                    "https://learn.microsoft.com/azure/event-hubs/transport-layer-security-configure-minimum-version",
                ),
            ),
            **dict.fromkeys(
                ("azure-native:redisenterprise:RedisEnterprise", "azure-native:redis:Redis"),
                _tls("minimumTlsVersion", "1.2", _REDIS),
            ),
            "azure-native:sql:Server": _tls(
                "minimalTlsVersion", "None", "https://azure.github.io/PSRule.Rules.Azure/en/rules/Azure.SQL.MinTLS/"
            ),
            "azure-native:cosmosdb:DatabaseAccount": equals(
                "minimalTlsVersion",
                "Tls12",
                default="Tls12",
                source=REGISTRY + "azure-native/api-docs/cosmosdb/databaseaccount/",
            ),
            "azure-native:web:WebApp": _tls(
                "siteConfig.minTlsVersion",
                "1.2",
                "https://azure.github.io/PSRule.Rules.Azure/en/rules/Azure.AppService.MinTLS",
            ),
        },
        references=(
            "checkov:CKV_AWS_103",
            "checkov:CKV_AWS_174",
            "checkov:CKV_AWS_206",
            "checkov:CKV_AWS_228",
            "checkov:CKV_GCP_4",
            "checkov:CKV_AZURE_44",
            "checkov:CKV_AZURE_223",
            "checkov:CKV_AZURE_205",
            "checkov:CKV_AZURE_148",
            "checkov:CKV_AZURE_52",
            "checkov:CKV_AZURE_15",
        ),
        remedies={
            "azure-native:storage:StorageAccount": sets({"minimumTlsVersion": "TLS1_2"}),
            "azure-native:eventhub:Namespace": sets({"minimumTlsVersion": "1.2"}),
        },
    ),
    Rule(
        "MLB-ENC-017",
        "Services take encrypted connections only.",
        Severity.HIGH,
        "Switch off the plain protocol, or redirect it to the encrypted one.",
        checks={
            **dict.fromkeys(
                _LISTENERS,
                any_of(
                    none_of("protocol", ("HTTP",), default="HTTP", source=_LISTENER),
                    all_of(
                        present("defaultActions"),
                        equals("defaultActions[].type", "redirect"),
                        equals("defaultActions[].redirect.protocol", "HTTPS", default="#{protocol}", source=_LISTENER),
                    ),
                ),
            ),
            "aws:cloudfront/distribution:Distribution": all_of(
                one_of("defaultCacheBehavior.viewerProtocolPolicy", ("https-only", "redirect-to-https")),
                one_of("orderedCacheBehaviors[].viewerProtocolPolicy", ("https-only", "redirect-to-https")),
            ),
            "aws:opensearch/domain:Domain": all_of(
                _on("domainEndpointOptions.enforceHttps", True, _OPENSEARCH),
                _on("nodeToNodeEncryption.enabled", False, _OPENSEARCH),
            ),
            "aws:elasticache/replicationGroup:ReplicationGroup": all_of(
                _on("transitEncryptionEnabled", False, REGISTRY + "aws/api-docs/elasticache/replicationgroup/"),
                none_of("transitEncryptionMode", ("preferred",)),
            ),
            "aws:memorydb/cluster:Cluster": _on("tlsEnabled", True, REGISTRY + "aws/api-docs/memorydb/cluster/"),
            "aws:msk/cluster:Cluster": all_of(
                equals("encryptionInfo.encryptionInTransit.clientBroker", "TLS", default="TLS", source=_MSK),
                _on("encryptionInfo.encryptionInTransit.inCluster", True, _MSK),
            ),
            "aws:sns/topicSubscription:TopicSubscription": none_of("protocol", ("http",)),
            "gcp:sql/databaseInstance:DatabaseInstance": one_of(
                "settings.ipConfiguration.sslMode",
                ("ENCRYPTED_ONLY", "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"),
                default="ALLOW_UNENCRYPTED_AND_ENCRYPTED",
                source="https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1beta4/instances#SslMode",
            ),
            "gcp:redis/instance:Instance": equals(
                "transitEncryptionMode",
                "SERVER_AUTHENTICATION",
                default="DISABLED",
                source=REGISTRY + "gcp/api-docs/redis/instance/",
            ),
            "gcp:redis/cluster:Cluster": equals(
                "transitEncryptionMode",
                "TRANSIT_ENCRYPTION_MODE_SERVER_AUTHENTICATION",
                default="TRANSIT_ENCRYPTION_MODE_DISABLED",
                source=REGISTRY + "gcp/api-docs/redis/cluster/",
            ),
            "gcp:memorystore/instance:Instance": equals("transitEncryptionMode", "SERVER_AUTHENTICATION"),
            "gcp:pubsub/subscription:Subscription": each(
                "pushConfig", matches("pushEndpoint", r"(?i)https://.+", "an endpoint over HTTPS")
            ),
            "gcp:cloudscheduler/job:Job": each("httpTarget", matches("uri", r"(?i)https://.+", "a URI over HTTPS")),
            "azure-native:app:ContainerApp": each(
                "configuration.ingress",
                none_of(
                    "allowInsecure",
                    (True,),
                    default=False,
                    source="https://learn.microsoft.com/azure/container-apps/ingress-overview",
                ),
            ),
            "azure-native:web:WebApp": _on(
                "httpsOnly", False, "https://learn.microsoft.com/azure/app-service/configure-ssl-bindings"
            ),
            "azure-native:redis:Redis": none_of(
                "enableNonSslPort",
                (True,),
                default=False,
                source="https://learn.microsoft.com/azure/azure-cache-for-redis/cache-configure#access-ports",
            ),
            "azure-native:redisenterprise:Database": equals(
                "clientProtocol",
                "Encrypted",
                default="Encrypted",
                source=REGISTRY + "azure-native/api-docs/redisenterprise/database/",
            ),
        },
        relations={
            "gcp:compute/targetHttpProxy:TargetHttpProxy": related(
                dependencies("gcp:compute/uRLMap:URLMap"),
                "a URL map that redirects everything to HTTPS",
                _on("defaultUrlRedirect.httpsRedirect", False, REGISTRY + "gcp/api-docs/compute/urlmap/"),
            ),
        },
        references=(
            "checkov:CKV_AWS_2",
            "checkov:CKV2_AWS_20",
            "checkov:CKV_AWS_34",
            "checkov:CKV_AWS_83",
            "checkov:CKV_AWS_6",
            "checkov:CKV_AWS_30",
            "checkov:CKV_AWS_202",
            "checkov:CKV_AWS_81",
            "checkov:CKV_GCP_6",
            "checkov:CKV_GCP_97",
            "checkov:CKV_AZURE_14",
            "checkov:CKV_AZURE_91",
        ),
    ),
    Rule(
        "MLB-ENC-018",
        "Stored data is read and written over TLS only.",
        Severity.HIGH,
        "Deny requests without `aws:SecureTransport` in the bucket's policy; let the storage account take HTTPS only.",
        checks={
            "azure-native:storage:StorageAccount": _on(
                "enableHttpsTrafficOnly", True, REGISTRY + "azure-native/api-docs/storage/storageaccount/"
            ),
        },
        relations=dict.fromkeys(("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2"), _BUCKET_DENIES),
        missing={
            "gcp": "Cloud Storage refuses HTTP by an organisation policy, storage.secureHttpTransport, not by bucket."
        },
        references=("checkov:CKV_AZURE_3", "security-hub:S3.5", "prowler:s3_bucket_secure_transport_policy"),
    ),
    Rule(
        "MLB-ENC-019",
        "Traffic between the containers of a job or of a cluster is encrypted.",
        Severity.MEDIUM,
        "Switch on the encryption of traffic between containers; it may make distributed training slower.",
        checks={
            "aws:sagemaker/trainingJob:TrainingJob": _between("enableInterContainerTrafficEncryption"),
            "aws:sagemaker/hyperParameterTuningJob:HyperParameterTuningJob": all_of(
                each("trainingJobDefinition", _between("enableInterContainerTrafficEncryption")),
                _between("trainingJobDefinitions[].enableInterContainerTrafficEncryption"),
            ),
            "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition": _between(
                "networkConfig.enableInterContainerTrafficEncryption"
            ),
            "aws:sagemaker/monitoringSchedule:MonitoringSchedule": each(
                "monitoringScheduleConfig.monitoringJobDefinition",
                _between("networkConfig.enableInterContainerTrafficEncryption"),
            ),
            "aws:sagemaker/pipeline:Pipeline": each_step("pipelineDefinition", _STEPS),
            "gcp:container/cluster:Cluster": equals(
                "inTransitEncryptionConfig",
                "IN_TRANSIT_ENCRYPTION_INTER_NODE_TRANSPARENT",
                default="IN_TRANSIT_ENCRYPTION_DISABLED",
                source="https://cloud.google.com/kubernetes-engine/docs/how-to/inter-node-transparent-encryption",
            ),
            "azure-native:app:ManagedEnvironment": _on(
                "peerTrafficConfiguration.encryption.enabled",
                False,
                "https://learn.microsoft.com/azure/container-apps/ingress-environment-configuration",
            ),
        },
        references=(
            "checkov:CKV_AWS_369",
            "security-hub:SageMaker.9",
            "security-hub:SageMaker.10",
            "security-hub:SageMaker.13",
            "security-hub:SageMaker.15",
            "security-hub:SageMaker.22",
            "prowler:sagemaker_training_jobs_intercontainer_encryption_enabled",
        ),
    ),
)
