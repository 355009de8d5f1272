"""Encryption at rest with the customer's own keys, and in transit."""

from ml_policies.checks import present
from ml_policies.rule import Rule, Severity

RULES = (
    Rule(
        "MLB-ENC-001",
        "What an endpoint keeps is encrypted with a customer-managed key.",
        Severity.HIGH,
        "Give the endpoint, its configuration or its workspace the key of the platform.",
        checks={
            "aws:sagemaker/endpointConfiguration:EndpointConfiguration": present("kmsKeyArn"),
            "gcp:vertex/aiEndpoint:AiEndpoint": present("encryptionSpec.kmsKeyName"),
            "azure-native:machinelearningservices:Workspace": present("encryption.keyVaultProperties.keyIdentifier"),
        },
        references=(
            "checkov:CKV_AWS_98",
            "checkov:CKV2_GCP_24",
            "azure-policy:Workspace_CMKEnabled_Audit",
            "azure-policy:Workspace_CMKEnabled_Audit_V2",
            "cdk-nag:SageMakerEndpointConfigurationKMSKeyConfigured",
            "prowler:sagemaker_endpoint_config_kms_encryption_enabled",
        ),
    ),
)
