"""Notebooks, jobs, experiments, orchestration and secrets under the customer's own keys."""

from ml_policies.checks import Check, all_of, any_of, each, equals, present, when
from ml_policies.job_definitions import each_spark_batch, each_step, each_vertex_job
from ml_policies.rule import Rule, Severity
from ml_policies.rules.encryption.own_keys import REGISTRY, WORKSPACE, own_key, own_keys, workspace_key

_OUTPUT_AND_VOLUME = all_of(own_key("outputDataConfig.kmsKeyId"), own_key("resourceConfig.volumeKmsKeyId"))
_TUNED = all_of(
    own_key("outputDataConfig.kmsKeyId"),
    any_of(own_key("resourceConfig.volumeKmsKeyId"), own_key("hyperParameterTuningResourceConfig.volumeKmsKeyId")),
)


def _step(*paths: str) -> Check:
    """Keys of a pipeline's step; each may be a parameter of the pipeline, as `{"Get": "Parameters.Key"}`."""
    return all_of(*(any_of(own_key(path), present(f"{path}.Get")) for path in paths))


_STEPS = {
    "Training": _step("OutputDataConfig.KmsKeyId", "ResourceConfig.VolumeKmsKeyId"),
    "Tuning": _step(
        "TrainingJobDefinition.OutputDataConfig.KmsKeyId", "TrainingJobDefinition.ResourceConfig.VolumeKmsKeyId"
    ),
    "Processing": all_of(
        _step("ProcessingResources.ClusterConfig.VolumeKmsKeyId"), each("ProcessingOutputConfig", _step("KmsKeyId"))
    ),
    "Transform": _step("TransformOutput.KmsKeyId", "TransformResources.VolumeKmsKeyId"),
}

_SCRATCH_DISKS = equals(
    "hbiWorkspace",
    True,
    default=False,
    source="https://learn.microsoft.com/azure/machine-learning/concept-data-encryption",
)


def _workbench_disk(path: str) -> Check:
    method = f"{path}.diskEncryption"
    source = REGISTRY + "gcp/api-docs/workbench/instance/"
    return all_of(equals(method, "CMEK", default="GMEK", source=source), own_key(f"{path}.kmsKey"))


RULES = (
    Rule(
        "MLB-ENC-008",
        "Notebooks and workbenches are encrypted with a customer-managed key.",
        Severity.HIGH,
        "Give the notebook, its domain, template or workspace the key of the platform when it is created.",
        checks={
            **own_keys("kmsKeyId", "aws:sagemaker/notebookInstance:NotebookInstance", "aws:sagemaker/domain:Domain"),
            "gcp:workbench/instance:Instance": all_of(
                _workbench_disk("gceSetup.bootDisk"),
                when(present("gceSetup.dataDisks"), _workbench_disk("gceSetup.dataDisks")),
            ),
            "gcp:colab/runtimeTemplate:RuntimeTemplate": own_key("encryptionSpec.kmsKeyName"),
            "azure-native:databricks:Workspace": own_key(
                "encryption.entities.managedServices.keyVaultProperties.keyName"
            ),
            "azure-native:synapse:Workspace": own_key("encryption.cmk.key.keyVaultUrl"),
        },
        references=(
            "checkov:CKV_AWS_22",
            "checkov:CKV_AWS_187",
            "checkov:CKV2_GCP_21",
            "checkov:CKV2_GCP_27",
            "checkov:CKV2_GCP_35",
            "checkov:CKV_AZURE_240",
            "security-hub:SageMaker.21",
            "prowler:sagemaker_notebook_instance_encryption_enabled",
            "cdk-nag:SageMakerNotebookInstanceKMSKeyConfigured",
        ),
    ),
    Rule(
        "MLB-ENC-009",
        "Jobs that train, tune, process, label or monitor encrypt their disks and outputs with a customer-managed key.",
        Severity.HIGH,
        "Give the job's output and its volume the key of the platform; on Azure mark the workspace as of high impact.",
        checks={
            "aws:sagemaker/trainingJob:TrainingJob": _OUTPUT_AND_VOLUME,
            "aws:sagemaker/hyperParameterTuningJob:HyperParameterTuningJob": all_of(
                each("trainingJobDefinition", _TUNED), each("trainingJobDefinitions[]", _TUNED)
            ),
            "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition": all_of(
                own_key("dataQualityJobOutputConfig.kmsKeyId"), own_key("jobResources.clusterConfig.volumeKmsKeyId")
            ),
            "aws:sagemaker/monitoringSchedule:MonitoringSchedule": each(
                "monitoringScheduleConfig.monitoringJobDefinition",
                all_of(
                    own_key("monitoringOutputConfig.kmsKeyId"),
                    own_key("monitoringResources.clusterConfig.volumeKmsKeyId"),
                ),
            ),
            **own_keys(
                "outputConfig.kmsKeyId",
                "aws:sagemaker/flowDefinition:FlowDefinition",
                "aws:sagemaker/labelingJob:LabelingJob",
            ),
            "aws:sagemaker/pipeline:Pipeline": each_step("pipelineDefinition", _STEPS),
            "gcp:workflows/workflow:Workflow": all_of(
                each_vertex_job("sourceContents", own_key("encryptionSpec.kmsKeyName")),
                each_spark_batch("sourceContents", own_key("environmentConfig.executionConfig.kmsKey")),
            ),
            "gcp:vertex/aiPersistentResource:AiPersistentResource": own_key("encryptionSpec.kmsKeyName"),
            "gcp:colab/schedule:Schedule": all_of(
                each("createPipelineJobRequest.pipelineJob", own_key("encryptionSpec.kmsKeyName")),
                each("createNotebookExecutionJobRequest.notebookExecutionJob", own_key("encryptionSpec.kmsKeyName")),
            ),
            **own_keys("kmsKeyName", "gcp:dataflow/job:Job", "gcp:dataflow/flexTemplateJob:FlexTemplateJob"),
            "gcp:dataproc/cluster:Cluster": own_key("clusterConfig.encryptionConfig.kmsKeyName"),
            "gcp:dataproc/batch:Batch": own_key("environmentConfig.executionConfig.kmsKey"),
            "gcp:cloudrunv2/job:Job": own_key("template.template.encryptionKey"),
            # The scratch disks of compute clusters are encrypted where the workspace is of high business impact.
            WORKSPACE: _SCRATCH_DISKS,
            "azure-native:databricks:Workspace": own_key("encryption.entities.managedDisk.keyVaultProperties.keyName"),
        },
        references=(
            "checkov:CKV_AWS_367",
            "checkov:CKV_AWS_368",
            "checkov:CKV_AWS_372",
            "checkov:CKV_GCP_90",
            "checkov:CKV_GCP_91",
            "prowler:sagemaker_training_jobs_volume_and_output_encryption_enabled",
        ),
    ),
    Rule(
        "MLB-ENC-010",
        "Experiments, datasets and what is known of models are encrypted with a customer-managed key.",
        Severity.MEDIUM,
        "Give the tracking, the metadata store, the dataset or the workspace the key of the platform.",
        checks={
            "aws:sagemaker/modelCard:ModelCard": own_key("securityConfig.kmsKeyId"),
            **own_keys(
                "encryptionSpec.kmsKeyName",
                "gcp:vertex/aiTensorboard:AiTensorboard",
                "gcp:vertex/aiMetadataStore:AiMetadataStore",
                "gcp:vertex/aiDataset:AiDataset",
                "gcp:vertex/aiIndex:AiIndex",
                "gcp:vertex/aiRagCorpus:AiRagCorpus",
            ),
            WORKSPACE: workspace_key(),
        },
        references=("checkov:CKV_GCP_92", "checkov:CKV_GCP_96", "checkov:CKV2_GCP_26"),
    ),
    Rule(
        "MLB-ENC-011",
        "Orchestration and functions keep their state and settings with a customer-managed key.",
        Severity.MEDIUM,
        "Give the state machine, the workflow, the schedule or the function the key of the platform.",
        checks={
            "aws:sfn/stateMachine:StateMachine": all_of(
                equals(
                    "encryptionConfiguration.type",
                    "CUSTOMER_MANAGED_KMS_KEY",
                    default="AWS_OWNED_KEY",
                    source="https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html",
                ),
                own_key("encryptionConfiguration.kmsKeyId"),
            ),
            "aws:lambda/function:Function": when(present("environment.variables"), own_key("kmsKeyArn")),
            "aws:scheduler/schedule:Schedule": own_key("kmsKeyArn"),
            "aws:mwaa/environment:Environment": own_key("kmsKey"),
            "gcp:workflows/workflow:Workflow": own_key("cryptoKeyName"),
            "gcp:cloudfunctionsv2/function:Function": own_key("kmsKeyName"),
            "gcp:composer/environment:Environment": own_key("config.encryptionConfig.kmsKeyName"),
            "azure-native:datafactory:Factory": own_key("encryption.keyName"),
        },
        references=("checkov:CKV_AWS_173", "checkov:CKV_AWS_297", "checkov:CKV2_AZURE_15"),
    ),
    Rule(
        "MLB-ENC-012",
        "Secrets are encrypted with a customer-managed key.",
        Severity.MEDIUM,
        "Give the secret the key of the platform.",
        checks={
            "aws:secretsmanager/secret:Secret": own_key("kmsKeyId"),
            "aws:ssm/parameter:Parameter": when(equals("type", "SecureString"), own_key("keyId")),
            "gcp:secretmanager/secret:Secret": any_of(
                own_key("replication.auto.customerManagedEncryption.kmsKeyName"),
                all_of(
                    present("replication.userManaged.replicas"),
                    own_key("replication.userManaged.replicas[].customerManagedEncryption.kmsKeyName"),
                ),
            ),
            "gcp:secretmanager/regionalSecret:RegionalSecret": own_key("customerManagedEncryption.kmsKeyName"),
        },
        missing={
            "azure": "A Key Vault encrypts its secrets with keys of its own hardware and takes none of a customer."
        },
        references=("checkov:CKV_AWS_149", "checkov:CKV_AWS_337"),
    ),
)
