"""Placement: machines, subnets, functions and containers are in private networks, without public addresses."""

from typing import Any

from ml_policies.checks import Check, absent, all_of, any_of, each, equals, judged, none_of, present, when
from ml_policies.relations import belonging, dependents, itself, one_relation, related
from ml_policies.rule import Rule, Severity

_AWS = "https://www.pulumi.com/registry/packages/aws/api-docs"
_GCP = "https://www.pulumi.com/registry/packages/gcp/api-docs"

_GCP_MACHINES = (
    "gcp:compute/instance:Instance",
    "gcp:compute/instanceTemplate:InstanceTemplate",
    "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate",
)
_DATAFLOW_JOBS = ("gcp:dataflow/job:Job", "gcp:dataflow/flexTemplateJob:FlexTemplateJob")
_CLOUD_RUN = ("gcp:cloudrunv2/service:Service", "gcp:cloudrunv2/workerPool:WorkerPool")
_AUTHORIZER = "aws:apigateway/authorizer:Authorizer"
_COMPUTE = "azure-native:machinelearningservices:Compute"
_NO_ADDRESS = "no public address"

# Where only one value is refused, as in none_of("…", (True,)), an absent property is a switch that is off.


def _of_compute(type_: str, check: Check) -> Check:
    """A check of one type of compute of Azure Machine Learning."""
    return when(equals("properties.computeType", type_), check)


def _own(path: str) -> Check:
    """A network that is named, and isn't the one that a project of Google's has from the beginning."""

    def wrong(value: Any, _: Any) -> str | None:
        named = isinstance(value, str) and value.rpartition("/")[2].casefold() not in ("", "default")
        return None if named else "a network of your own"

    return judged(path, wrong)


def _attached(inside: str) -> Check:
    return any_of(present(f"{inside}vpcAccess.networkInterfaces"), present(f"{inside}vpcAccess.connector"))


_NO_LOGIN = all_of(
    equals("metadata.block-project-ssh-keys", True),
    none_of("metadata.serial-port-enable", (True, 1, "1", "y", "yes")),
)
_TOKENS = any_of(equals("metadataOptions.httpTokens", "required"), equals("metadataOptions.httpEndpoint", "disabled"))

RULES = (
    Rule(
        "MLB-NET-015",
        "Machines, nodes and tasks that compute have no public address.",
        Severity.HIGH,
        "Leave public addresses out and reach the machines through the private network.",
        checks={
            "aws:ec2/instance:Instance": none_of("associatePublicIpAddress", (True,)),
            "aws:ec2/launchConfiguration:LaunchConfiguration": none_of("associatePublicIpAddress", (True,)),
            "aws:ec2/launchTemplate:LaunchTemplate": none_of("networkInterfaces[].associatePublicIpAddress", (True,)),
            "aws:ecs/service:Service": none_of(
                "networkConfiguration.assignPublicIp", (True,), False, f"{_AWS}/ecs/service/"
            ),
            **dict.fromkeys(
                _GCP_MACHINES,
                each(
                    "networkInterfaces[]",
                    all_of(absent("accessConfigs", _NO_ADDRESS), absent("ipv6AccessConfigs", _NO_ADDRESS)),
                ),
            ),
            **dict.fromkeys(_DATAFLOW_JOBS, equals("ipConfiguration", "WORKER_IP_PRIVATE")),
            "gcp:dataproc/cluster:Cluster": equals("clusterConfig.gceClusterConfig.internalIpOnly", True),
            "gcp:container/cluster:Cluster": equals("privateClusterConfig.enablePrivateNodes", True),
            _COMPUTE: _of_compute("AmlCompute", equals("properties.properties.enableNodePublicIp", False)),
            "azure-native:network:NetworkInterface": absent("ipConfigurations[].publicIPAddress", _NO_ADDRESS),
            "azure-native:compute:VirtualMachineScaleSet": absent(
                "virtualMachineProfile.networkProfile.networkInterfaceConfigurations[]"
                ".ipConfigurations[].publicIPAddressConfiguration",
                _NO_ADDRESS,
            ),
            "azure-native:containerservice:ManagedCluster": none_of("agentPoolProfiles[].enableNodePublicIP", (True,)),
            "azure-native:databricks:Workspace": none_of(
                "parameters.enableNoPublicIp.value",
                (False,),
                True,
                "https://www.pulumi.com/registry/packages/azure-native/api-docs/databricks/workspace/",
            ),
        },
        references=(
            "checkov:CKV_AWS_88",
            "checkov:CKV_AWS_333",
            "checkov:CKV_AWS_389",
            "checkov:CKV_AZURE_143",
            "checkov:CKV_GCP_40",
            "checkov:CKV_GCP_64",
            "checkov:CKV_GCP_94",
            "checkov:CKV_GCP_103",
        ),
    ),
    Rule(
        "MLB-NET-016",
        "Subnets give nothing in them a public address or a way out of its own.",
        Severity.HIGH,
        "Switch public addresses on launch, external IPv6 and default outbound access off.",
        checks={
            "aws:ec2/subnet:Subnet": equals("mapPublicIpOnLaunch", False, False, f"{_AWS}/ec2/subnet/"),
            "aws:ec2/defaultSubnet:DefaultSubnet": equals("mapPublicIpOnLaunch", False),
            "gcp:compute/subnetwork:Subnetwork": none_of("ipv6AccessType", ("EXTERNAL",)),
            "azure-native:network:Subnet": equals(
                "defaultOutboundAccess",
                False,
                True,
                "https://learn.microsoft.com/azure/virtual-network/ip-services/default-outbound-access",
            ),
            "azure-native:network:VirtualNetwork": each("subnets[]", equals("defaultOutboundAccess", False)),
        },
        references=("checkov:CKV_AWS_130",),
    ),
    Rule(
        "MLB-NET-017",
        "Functions, services and containers are attached to the private network.",
        Severity.MEDIUM,
        "Give the function, the service or its environment subnets of the private network.",
        checks={
            "aws:codebuild/project:Project": present("vpcConfig.subnets"),
            "aws:emrserverless/application:Application": present("networkConfiguration.subnetIds"),
            **dict.fromkeys(_CLOUD_RUN, _attached("template.")),
            "gcp:cloudrunv2/job:Job": _attached("template.template."),
            "gcp:cloudfunctionsv2/function:Function": any_of(
                present("serviceConfig.vpcConnector"), present("serviceConfig.directVpcNetworkInterfaces")
            ),
            "gcp:cloudfunctions/function:Function": present("vpcConnector"),
            "azure-native:app:ManagedEnvironment": present("vnetConfiguration.infrastructureSubnetId"),
            "azure-native:web:WebApp": present("virtualNetworkSubnetId"),
            "azure-native:containerinstance:ContainerGroup": present("subnetIds"),
        },
        relations={
            # The keys of a tokens' issuer are on the internet, and a network with a way out to it would let out more.
            "aws:lambda/function:Function": one_relation(
                itself(present("vpcConfig.subnetIds")),
                related(belonging(_AUTHORIZER, "authorizerUri", "arn"), "neither subnets nor an API's authorizer"),
            ),
        },
        references=("checkov:CKV_AWS_117", "checkov:CKV_AZURE_98", "checkov:CKV_AZURE_245"),
        differs={"checkov:CKV_AWS_117": "A function that verifies tokens for an API may be outside of the network."},
    ),
    Rule(
        "MLB-NET-018",
        "Nothing runs in a default network, and default security groups let nothing through.",
        Severity.HIGH,
        "Make a network of your own, name it, and leave the default security group without rules.",
        checks={
            "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": all_of(
                absent("ingress", "no rule"), absent("egress", "no rule")
            ),
            "aws:rds/instance:Instance": when(absent("replicateSourceDb"), present("dbSubnetGroupName")),
            "aws:redshift/cluster:Cluster": present("clusterSubnetGroupName"),
            "aws:elasticache/replicationGroup:ReplicationGroup": present("subnetGroupName"),
            "aws:elasticache/serverlessCache:ServerlessCache": present("subnetIds"),
            "aws:memorydb/cluster:Cluster": present("subnetGroupName"),
            "gcp:compute/network:Network": equals("autoCreateSubnetworks", False, True, f"{_GCP}/compute/network/"),
            "gcp:organizations/project:Project": equals(
                "autoCreateNetwork", False, True, f"{_GCP}/organizations/project/"
            ),
            "gcp:compute/subnetwork:Subnetwork": _own("network"),
            "gcp:compute/firewall:Firewall": _own("network"),
            **dict.fromkeys(
                _GCP_MACHINES,
                each("networkInterfaces[]", any_of(_own("subnetwork"), _own("network"), present("networkAttachment"))),
            ),
            **dict.fromkeys(_DATAFLOW_JOBS, any_of(_own("subnetwork"), _own("network"))),
            "gcp:container/cluster:Cluster": any_of(_own("subnetwork"), _own("network")),
            "gcp:dataproc/cluster:Cluster": any_of(
                _own("clusterConfig.gceClusterConfig.subnetwork"), _own("clusterConfig.gceClusterConfig.network")
            ),
            "gcp:redis/instance:Instance": _own("authorizedNetwork"),
        },
        relations={
            "aws:ec2/vpc:Vpc": related(
                dependents("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"),
                "a DefaultSecurityGroup of the network without rules",
                all_of(absent("ingress"), absent("egress")),
            )
        },
        missing={"azure": "Azure has no default network and no default security group: each is made on purpose."},
        references=("checkov:CKV_AWS_154", "checkov:CKV2_AWS_12", "checkov:CKV_GCP_27"),
    ),
    Rule(
        "MLB-NET-021",
        "Nobody logs in to compute from the public network, and jobs are closed to remote debugging.",
        Severity.HIGH,
        "Close SSH, serial ports and remote debugging; use Session Manager, Identity-Aware Proxy or a bastion.",
        checks={
            "aws:sagemaker/trainingJob:TrainingJob": none_of("remoteDebugConfig.enableRemoteDebug", (True,)),
            "aws:eks/nodeGroup:NodeGroup": when(
                present("remoteAccess.ec2SshKey"), present("remoteAccess.sourceSecurityGroupIds")
            ),
            **dict.fromkeys(_GCP_MACHINES, _NO_LOGIN),
            "gcp:workbench/instance:Instance": none_of(
                "gceSetup.metadata.serial-port-enable", (True, 1, "1", "y", "yes")
            ),
            _COMPUTE: all_of(
                _of_compute(
                    "AmlCompute",
                    equals(
                        "properties.properties.remoteLoginPortPublicAccess",
                        "Disabled",
                        "NotSpecified",
                        "https://www.pulumi.com/registry/packages/azure-native/api-docs/machinelearningservices/compute/",
                    ),
                ),
                _of_compute(
                    "ComputeInstance", none_of("properties.properties.sshSettings.sshPublicAccess", ("Enabled",))
                ),
            ),
        },
        references=("checkov:CKV_AWS_100", "checkov:CKV_GCP_32", "checkov:CKV_GCP_35"),
    ),
    Rule(
        "MLB-NET-022",
        "The metadata service of machines answers only to requests with a session token.",
        Severity.HIGH,
        "Require IMDSv2: tokens, or version 2 as the least of a notebook.",
        checks={
            "aws:sagemaker/notebookInstance:NotebookInstance": equals(
                "instanceMetadataServiceConfiguration.minimumInstanceMetadataServiceVersion",
                "2",
                "1",
                "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/"
                "aws-properties-sagemaker-notebookinstance-instancemetadataserviceconfiguration.html",
            ),
            "aws:ec2/instance:Instance": _TOKENS,
            "aws:ec2/launchTemplate:LaunchTemplate": _TOKENS,
            "aws:ec2/launchConfiguration:LaunchConfiguration": _TOKENS,
        },
        missing={
            "gcp": "Google's metadata server has no version without protection: it answers only to requests with the "
            "header Metadata-Flavor and to none that were forwarded.",
            "azure": "Azure's metadata service has no version without protection: it answers only to requests with the "
            "header Metadata and to none that were forwarded.",
        },
        references=("checkov:CKV_AWS_79", "checkov:CKV_AWS_371"),
    ),
)
