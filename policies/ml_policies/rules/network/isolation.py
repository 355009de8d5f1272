"""Isolation: workspaces, models, jobs and notebooks run in private networks and reach only what those let through."""

from ml_policies.checks import Check, absent, all_of, allowed, any_of, each, equals, none_of, one_of, present, when
from ml_policies.job_definitions import each_spark_batch, each_step, each_vertex_job
from ml_policies.relations import dependencies, itself, one_relation, related, where
from ml_policies.rule import Parameter, Relation, Rule, Severity

_TEXTS = {"type": "array", "items": {"type": "string"}}
_MANAGED_NETWORK = "https://learn.microsoft.com/azure/machine-learning/how-to-managed-network"
_WORKSPACE = "azure-native:machinelearningservices:Workspace"
_ISOLATION_MODE = "managedNetwork.isolationMode"
_EVERYWHERE = ("*", "*.*", "*.com", "Internet", "AzureCloud")


def _in_pipeline(by_step: dict[str, Check]) -> Check:
    return each_step("pipelineDefinition", by_step)


def _each_tuned(check: Check) -> Check:
    return all_of(each("trainingJobDefinition", check), each("trainingJobDefinitions[]", check))


def _each_monitored(check: Check) -> Check:
    """What a schedule defines itself; a definition of its own has its own check."""
    return each("monitoringScheduleConfig.monitoringJobDefinition", check)


def _in_network(compute_type: str) -> Relation:
    """Compute of a type is in a subnet, or in the managed network of its workspace."""
    isolated = one_of(_ISOLATION_MODE, ("AllowInternetOutbound", "AllowOnlyApprovedOutbound"))
    return where(
        equals("properties.computeType", compute_type),
        one_relation(
            itself(present("properties.properties.subnet.id")),
            related(dependencies(_WORKSPACE), "a subnet, or a managed network of the workspace", isolated),
        ),
    )


_DEPLOYMENT = where(
    equals("properties.endpointComputeType", "Managed"),
    one_relation(
        itself(
            equals(
                "properties.egressPublicNetworkAccess",
                "Disabled",
                "Enabled",
                "https://learn.microsoft.com/dotnet/api/azure.resourcemanager.machinelearning.models."
                "machinelearningonlinedeploymentproperties.egresspublicnetworkaccess",
            )
        ),
        related(
            dependencies(_WORKSPACE),
            "no public egress, or a workspace that lets out what is approved only",
            equals(_ISOLATION_MODE, "AllowOnlyApprovedOutbound"),
        ),
    ),
)

# Batch predictions run where their model does. https://docs.cloud.google.com/vertex-ai/docs/general/vpc-psc-i-setup
_SPARK_BATCH = any_of(
    present("environmentConfig.executionConfig.subnetworkUri"),
    present("environmentConfig.executionConfig.networkUri"),
)
_VERTEX_JOB = when(
    absent("inputConfig"),
    any_of(
        present("jobSpec.pscInterfaceConfig.networkAttachment"),
        present("jobSpec.network"),
        present("trialJobSpec.pscInterfaceConfig.networkAttachment"),
        present("trialJobSpec.network"),
        present("pscInterfaceConfig.networkAttachment"),
        present("network"),
        present("trainingTaskInputs.network"),
    ),
)
_VPC = present("vpcConfig.subnets")
_ISOLATED = equals("enableNetworkIsolation", True)
_EGRESS = "template.vpcAccess.egress"

RULES = (
    Rule(
        "MLB-NET-010",
        "Workspaces keep their compute in a managed or private network that lets out what is approved only.",
        Severity.HIGH,
        "Set the isolation mode AllowOnlyApprovedOutbound, VpcOnly, or no internet access.",
        checks={
            "aws:sagemaker/domain:Domain": equals(
                "appNetworkAccessType",
                "VpcOnly",
                "PublicInternetOnly",
                "https://www.pulumi.com/registry/packages/aws/api-docs/sagemaker/domain/",
            ),
            "gcp:colab/runtimeTemplate:RuntimeTemplate": equals("networkSpec.enableInternetAccess", False),
            _WORKSPACE: all_of(
                when(absent("hubResourceId"), allowed(_ISOLATION_MODE, "isolationModes", "Disabled", _MANAGED_NETWORK)),
                none_of("v1LegacyMode", (True,)),
            ),
            "azure-native:machinelearningservices:ManagedNetworkSettingsRule": all_of(
                none_of("properties.destination", _EVERYWHERE),
                none_of("properties.destination.serviceTag", _EVERYWHERE),
            ),
            "azure-native:synapse:Workspace": equals("managedVirtualNetwork", "default"),
        },
        references=(
            "azure-policy:ManagedNetworkIsolationMode_Audit",
            "azure-policy:Workspace_EnableV1LegacyMode_Audit",
            "checkov:CKV_AZURE_58",
        ),
        differs={
            "azure-policy:Workspace_EnableV1LegacyMode_Audit": "Ours refuses the legacy mode: it keeps a workspace "
            "from version 2 of the API, whose endpoints and jobs are what the managed network isolates.",
        },
        parameters={
            "isolationModes": Parameter(
                ["AllowOnlyApprovedOutbound"],
                _TEXTS,
                "Isolation modes that a workspace of Azure Machine Learning may have.",
            ),
        },
    ),
    Rule(
        "MLB-NET-011",
        "Models, and jobs that train, tune, process or monitor, run in the private network.",
        Severity.HIGH,
        "Give the model or the job subnets and security groups, a network attachment, or a workspace with a network.",
        checks={
            "aws:sagemaker/model:Model": _VPC,
            "aws:sagemaker/trainingJob:TrainingJob": _VPC,
            "aws:sagemaker/hyperParameterTuningJob:HyperParameterTuningJob": _each_tuned(_VPC),
            "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition": present(
                "networkConfig.vpcConfig.subnets"
            ),
            "aws:sagemaker/monitoringSchedule:MonitoringSchedule": _each_monitored(
                present("networkConfig.vpcConfig.subnets")
            ),
            "aws:sagemaker/pipeline:Pipeline": _in_pipeline(
                {
                    "Training": present("VpcConfig.Subnets"),
                    "Tuning": present("TrainingJobDefinition.VpcConfig.Subnets"),
                    "Processing": present("NetworkConfig.VpcConfig.Subnets"),
                    "QualityCheck": present("NetworkConfig.VpcConfig.Subnets"),
                    "ClarifyCheck": present("NetworkConfig.VpcConfig.Subnets"),
                    "Model": present("VpcConfig.Subnets"),
                }
            ),
            "aws:bedrock/customModel:CustomModel": present("vpcConfig.subnetIds"),
            "gcp:workflows/workflow:Workflow": all_of(
                each_vertex_job("sourceContents", _VERTEX_JOB), each_spark_batch("sourceContents", _SPARK_BATCH)
            ),
            "gcp:vertex/aiPersistentResource:AiPersistentResource": any_of(
                present("pscInterfaceConfig.networkAttachment"), present("network")
            ),
            "gcp:dataproc/batch:Batch": _SPARK_BATCH,
        },
        relations={"azure-native:machinelearningservices:Compute": _in_network("AmlCompute")},
        references=(
            "azure-policy:Vnet_Audit",
            "prowler:sagemaker_models_vpc_settings_configured",
            "prowler:sagemaker_training_jobs_vpc_settings_configured",
        ),
    ),
    Rule(
        "MLB-NET-012",
        "Containers of models and jobs reach nothing but what the private network lets through.",
        Severity.HIGH,
        "Switch network isolation on, or send all outgoing traffic through the private network.",
        checks={
            "aws:sagemaker/model:Model": _ISOLATED,
            "aws:sagemaker/trainingJob:TrainingJob": _ISOLATED,
            "aws:sagemaker/hyperParameterTuningJob:HyperParameterTuningJob": _each_tuned(_ISOLATED),
            "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition": equals(
                "networkConfig.enableNetworkIsolation", True
            ),
            "aws:sagemaker/monitoringSchedule:MonitoringSchedule": _each_monitored(
                equals("networkConfig.enableNetworkIsolation", True)
            ),
            "aws:sagemaker/pipeline:Pipeline": _in_pipeline(
                {
                    "Training": equals("EnableNetworkIsolation", True),
                    "Tuning": equals("TrainingJobDefinition.EnableNetworkIsolation", True),
                    "Model": equals("EnableNetworkIsolation", True),
                }
            ),
            "gcp:cloudrunv2/service:Service": equals(_EGRESS, "ALL_TRAFFIC"),
            "gcp:cloudrunv2/workerPool:WorkerPool": equals(_EGRESS, "ALL_TRAFFIC"),
            "gcp:cloudrunv2/job:Job": equals(f"template.{_EGRESS}", "ALL_TRAFFIC"),
            "gcp:cloudfunctionsv2/function:Function": any_of(
                equals("serviceConfig.vpcConnectorEgressSettings", "ALL_TRAFFIC"),
                equals("serviceConfig.directVpcEgress", "VPC_EGRESS_ALL_TRAFFIC"),
            ),
        },
        relations={"azure-native:machinelearningservices:OnlineDeployment": _DEPLOYMENT},
        references=(
            "checkov:CKV_AWS_370",
            "prowler:sagemaker_models_network_isolation_enabled",
            "prowler:sagemaker_training_jobs_network_isolation_enabled",
            "security-hub:SageMaker.5",
            "security-hub:SageMaker.11",
            "security-hub:SageMaker.12",
            "security-hub:SageMaker.14",
            "security-hub:SageMaker.20",
            "security-hub:SageMaker.25",
        ),
    ),
    Rule(
        "MLB-NET-013",
        "Notebooks and workstations for development have no direct way to the internet, and none from it.",
        Severity.HIGH,
        "Switch direct internet access or the public address off and go out through the private network.",
        checks={
            "aws:sagemaker/notebookInstance:NotebookInstance": equals(
                "directInternetAccess",
                "Disabled",
                "Enabled",
                "https://www.pulumi.com/registry/packages/aws/api-docs/sagemaker/notebookinstance/",
            ),
            "gcp:workbench/instance:Instance": all_of(
                equals("gceSetup.disablePublicIp", True),
                each("gceSetup.networkInterfaces[]", absent("accessConfigs", "no public address")),
            ),
            "azure-native:machinelearningservices:Compute": when(
                equals("properties.computeType", "ComputeInstance"),
                equals("properties.properties.enableNodePublicIp", False),
            ),
        },
        references=(
            "cdk-nag:SageMakerNotebookNoDirectInternetAccess",
            "checkov:CKV_AWS_122",
            "checkov:CKV_GCP_89",
            "checkov:CKV2_GCP_28",
            "checkov:CKV2_GCP_36",
            "google-org-policy:ainotebooks.restrictPublicIp",
            "prowler:sagemaker_notebook_instance_without_direct_internet_access_configured",
            "security-hub:SageMaker.1",
        ),
        differs={
            "checkov:CKV_AWS_122": "A notebook that says nothing has direct internet access in AWS, and fails.",
            "checkov:CKV_GCP_89": "The type of resource that it looks at is gone from the provider; its successor is "
            "the instance of Workbench.",
            "checkov:CKV2_GCP_36": "The type of resource that it looks at is gone from the provider; its successor is "
            "the instance of Workbench.",
        },
    ),
    Rule(
        "MLB-NET-014",
        "Notebooks and workstations for development are in a network of the organisation's own.",
        Severity.HIGH,
        "Give the notebook a subnet of the private network.",
        checks={
            "aws:sagemaker/notebookInstance:NotebookInstance": present("subnetId"),
            "gcp:workbench/instance:Instance": all_of(
                present("gceSetup.networkInterfaces"),
                each("gceSetup.networkInterfaces[]", all_of(present("subnet"), allowed("network", "approvedNetworks"))),
            ),
        },
        relations={"azure-native:machinelearningservices:Compute": _in_network("ComputeInstance")},
        references=(
            "cdk-nag:SageMakerNotebookInVPC",
            "checkov:CKV_AWS_306",
            "google-org-policy:ainotebooks.restrictVpcNetworks",
            "prowler:sagemaker_notebook_instance_vpc_settings_configured",
            "security-hub:SageMaker.2",
        ),
        parameters={
            "approvedNetworks": Parameter(
                [], _TEXTS, "Networks of Google Cloud that notebooks may be in; empty for every one of your own."
            ),
        },
    ),
)
