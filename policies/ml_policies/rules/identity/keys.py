"""How one proves who one is: by an identity of one's own, without keys that last, passwords or root."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_policies.checks import (
    Check,
    Result,
    Scope,
    Undecided,
    Wrong,
    absent,
    all_of,
    equals,
    judged,
    matches,
    one_of,
    outside_experiments,
    present,
    when,
)
from ml_policies.job_definitions import each_spark_batch
from ml_policies.remedies import sets
from ml_policies.resource import MISSING, UNKNOWN
from ml_policies.rule import Rule, Severity
from ml_policies.rules.identity.secrets import no_secret_in, no_secret_in_json, no_secret_script
from ml_policies.scoring import GCP_DEPLOYMENT, GCP_MODEL

_ML = "azure-native:machinelearningservices"
_AZURE_API = "https://www.pulumi.com/registry/packages/azure-native/api-docs"
_GOOGLE_API = "https://www.pulumi.com/registry/packages/gcp/api-docs"
_AWS_API = "https://www.pulumi.com/registry/packages/aws/api-docs"


@dataclass(frozen=True, slots=True)
class never:  # noqa: N801 (it reads as the checks beside it)
    """A resource that shouldn't be there, whatever its properties."""

    words: str

    def __call__(self, scope: Scope) -> Iterator[Result]:
        yield Wrong("", MISSING, self.words)


# What proves an identity in the connections of a workspace; the rest are keys, passwords and tokens.
_CONNECTIONS = ("ManagedIdentity", "AAD", "None", "OAuth2")

_SAS = never("no key that grants access: roles for identities instead")


def _local_auth(type_: str, path: str = "disableLocalAuth") -> dict[str, Check]:
    """Keys and passwords are off; unless it says so, a service of Azure takes them."""
    module, _, class_ = type_.partition(":")
    source = f"{_AZURE_API}/{module}/{class_.casefold()}/"
    return {f"azure-native:{type_}": equals(path, True, False, source)}


# Accounts that Google makes by itself; they may edit a whole project unless someone took that away
# (https://cloud.google.com/iam/docs/service-account-types#default).
_DEFAULT_ACCOUNT = re.compile(
    r".*(-compute@developer|@appspot|@cloudbuild)\.gserviceaccount\.com|default", re.IGNORECASE
)


def _own_account(value: Any, _: Mapping[str, Any]) -> str | None:
    own = isinstance(value, str) and value.strip() and not _DEFAULT_ACCOUNT.fullmatch(value.strip())
    return None if own else "a service account of its own"


def _own_accounts(path: str) -> Check:
    return judged(path, _own_account)


_SPARK_ACCOUNT = _own_accounts("environmentConfig.executionConfig.serviceAccount")


def _first_account(scope: Scope) -> Iterator[Result]:
    """A workbench runs as the first of its service accounts, and without any as the project's default one."""
    path, accounts = next(iter(scope.values("gceSetup.serviceAccounts")))
    if accounts is UNKNOWN:
        yield Undecided(path)
    elif not accounts or not isinstance(accounts, list | tuple):
        yield Wrong(path, MISSING, "a service account of its own")
    else:
        yield from judged("gceSetup.serviceAccounts[].email", _own_account)(scope)


_OWN_IDENTITY = all_of(
    matches("identity.type", r"(?i).*UserAssigned.*", "UserAssigned"), present("identity.userAssignedIdentities")
)


def _root_is_off(scope: Scope) -> Iterator[Result]:
    """A policy of an organisation about root on notebooks, if it is that one, is enforced."""
    name = scope.value.get("name", MISSING)
    if name is UNKNOWN:
        return
    if str(name).rpartition("/")[2] == "ainotebooks.disableRootAccess":
        yield from equals("spec.rules[].enforce", True)(scope)


_SECRETS_SOURCE = (
    "checkov:CKV_AWS_45",
    "checkov:CKV_AWS_46",
    "prowler:sagemaker_notebook_instance_no_secrets",
)

RULES = (
    Rule(
        "MLB-IAM-009",
        "Nobody gets a key or password that lasts.",
        Severity.HIGH,
        "Let people and pipelines take tokens of short life: single sign-on, roles, federation, managed identities.",
        checks={
            "aws:iam/accessKey:AccessKey": never("no access key: roles and federation instead"),
            "aws:iam/serviceSpecificCredential:ServiceSpecificCredential": never("no password of a service"),
            "aws:iam/sshKey:SshKey": never("no key of a user"),
            "gcp:serviceaccount/key:Key": never("no key of a service account: federation or attached accounts instead"),
            "gcp:storage/hmacKey:HmacKey": never("no HMAC key: tokens of service accounts instead"),
            "azure-native:containerregistry:Token": never("no token of the registry: roles such as AcrPull instead"),
            "azure-native:eventhub:NamespaceAuthorizationRule": _SAS,
            "azure-native:eventhub:EventHubAuthorizationRule": _SAS,
            "azure-native:servicebus:NamespaceAuthorizationRule": _SAS,
            "azure-native:storage:LocalUser": never("no local user: roles for identities instead"),
            f"{_ML}:WorkspaceConnection": one_of("properties.authType", _CONNECTIONS),
            f"{_ML}:Datastore": one_of("properties.credentials.credentialsType", ("None",)),
        },
        references=("checkov:CKV_AZURE_244",),
    ),
    Rule(
        "MLB-IAM-010",
        "Services take identities only; shared keys, admin users and local logins are off.",
        Severity.HIGH,
        "Switch local authentication off, and give callers a role.",
        checks={
            "aws:elasticache/replicationGroup:ReplicationGroup": all_of(
                present("userGroupIds"), absent("authToken", "no shared token: users with IAM authentication instead")
            ),
            "aws:rds/instance:Instance": equals(
                "iamDatabaseAuthenticationEnabled", True, False, f"{_AWS_API}/rds/instance/"
            ),
            "aws:rds/cluster:Cluster": equals(
                "iamDatabaseAuthenticationEnabled", True, False, f"{_AWS_API}/rds/cluster/"
            ),
            "gcp:redis/cluster:Cluster": equals(
                "authorizationMode", "AUTH_MODE_IAM_AUTH", "AUTH_MODE_DISABLED", f"{_GOOGLE_API}/redis/cluster/"
            ),
            "gcp:memorystore/instance:Instance": equals("authorizationMode", "IAM_AUTH"),
            "gcp:redis/instance:Instance": equals("authEnabled", True, False, f"{_GOOGLE_API}/redis/instance/"),
            **_local_auth("appconfiguration:ConfigurationStore"),
            **_local_auth("applicationinsights:Component"),
            **_local_auth("cognitiveservices:Account", "properties.disableLocalAuth"),
            **_local_auth("containerservice:ManagedCluster", "disableLocalAccounts"),
            **_local_auth("cosmosdb:DatabaseAccount"),
            **_local_auth("eventgrid:Domain"),
            **_local_auth("eventgrid:Topic"),
            **_local_auth("eventhub:Namespace"),
            **_local_auth("operationalinsights:Workspace", "features.disableLocalAuth"),
            **_local_auth("search:Service"),
            **_local_auth("servicebus:Namespace"),
            **_local_auth("redis:Redis", "disableAccessKeyAuthentication"),
            "azure-native:containerregistry:Registry": equals(
                "adminUserEnabled", False, False, f"{_AZURE_API}/containerregistry/registry/"
            ),
            "azure-native:redisenterprise:Database": equals("accessKeysAuthentication", "Disabled"),
            "azure-native:storage:StorageAccount": equals(
                "allowSharedKeyAccess", False, True, f"{_AZURE_API}/storage/storageaccount/"
            ),
            # Computes that are attached, such as Databricks, have a login of their own and no such switch.
            f"{_ML}:Compute": when(
                one_of("properties.computeType", ("AmlCompute", "ComputeInstance", "AKS", "Kubernetes")),
                equals("properties.disableLocalAuth", True, False, f"{_AZURE_API}/machinelearningservices/compute/"),
            ),
            f"{_ML}:Workspace": equals(
                "systemDatastoresAuthMode",
                "Identity",
                "AccessKey",
                "https://learn.microsoft.com/azure/machine-learning/how-to-disable-local-auth-storage",
            ),
        },
        references=(
            "azure-policy:DisableLocalAuth_Audit",
            "azure-policy:DisableLocalAuth_Modify",
            "checkov:CKV_AWS_161",
            "checkov:CKV_AWS_162",
            "checkov:CKV_GCP_95",
            "checkov:CKV_AZURE_137",
            "checkov:CKV_AZURE_141",
            "checkov:CKV_AZURE_142",
            "checkov:CKV_AZURE_184",
            "checkov:CKV_AZURE_192",
            "checkov:CKV_AZURE_195",
            "checkov:CKV_AZURE_236",
            "checkov:CKV2_AZURE_40",
        ),
        remedies={
            "azure-native:storage:StorageAccount": sets({"allowSharedKeyAccess": False}),
            "azure-native:eventhub:Namespace": sets({"disableLocalAuth": True}),
            "azure-native:containerregistry:Registry": sets({"adminUserEnabled": False}),
        },
    ),
    Rule(
        "MLB-IAM-011",
        "Users of notebooks are not root.",
        Severity.HIGH,
        "Switch root access off; install what is needed in the image.",
        checks={
            "aws:sagemaker/notebookInstance:NotebookInstance": equals(
                "rootAccess", "Disabled", "Enabled", f"{_AWS_API}/sagemaker/notebookinstance/"
            ),
            "gcp:workbench/instance:Instance": outside_experiments(
                "labels",
                equals(
                    "gceSetup.metadata.notebook-disable-root",
                    True,
                    False,
                    "https://cloud.google.com/vertex-ai/docs/workbench/instances/manage-metadata",
                ),
            ),
            "gcp:orgpolicy/policy:Policy": _root_is_off,
        },
        missing={"azure": "A compute instance of Azure ML has no such switch in the API that its provider uses."},
        references=(
            "checkov:CKV_AWS_307",
            "prowler:sagemaker_notebook_instance_root_access_disabled",
            "security-hub:SageMaker.3",
            "google-org-policy:ainotebooks.disableRootAccess",
        ),
    ),
    Rule(
        "MLB-IAM-013",
        "Each workload runs as an identity that was made for it, not as a default one.",
        Severity.MEDIUM,
        "Make a service account or managed identity for the workload, and let it run as that.",
        checks={
            "gcp:cloudfunctionsv2/function:Function": _own_accounts("serviceConfig.serviceAccountEmail"),
            "gcp:cloudrunv2/job:Job": _own_accounts("template.template.serviceAccount"),
            "gcp:cloudrunv2/service:Service": _own_accounts("template.serviceAccount"),
            GCP_DEPLOYMENT: _own_accounts("service_account"),
            "gcp:eventarc/trigger:Trigger": _own_accounts("serviceAccount"),
            "gcp:workbench/instance:Instance": _first_account,
            "gcp:dataproc/batch:Batch": _SPARK_ACCOUNT,
            "gcp:workflows/workflow:Workflow": all_of(
                _own_accounts("serviceAccount"), each_spark_batch("sourceContents", _SPARK_ACCOUNT)
            ),
            "azure-native:app:ContainerApp": _OWN_IDENTITY,
            "azure-native:app:Job": _OWN_IDENTITY,
            f"{_ML}:Compute": _OWN_IDENTITY,
            # A job without an identity of its own acts as the user who asked for it.
            # https://learn.microsoft.com/azure/machine-learning/how-to-submit-spark-jobs
            f"{_ML}:Job": equals("properties.identity.identityType", "Managed"),
            f"{_ML}:OnlineEndpoint": _OWN_IDENTITY,
            f"{_ML}:Schedule": when(
                equals("properties.action.actionType", "CreateJob"),
                equals("properties.action.jobDefinition.identity.identityType", "Managed"),
            ),
            f"{_ML}:Workspace": all_of(_OWN_IDENTITY, present("primaryUserAssignedIdentity")),
        },
        missing={"aws": "SageMaker, Lambda and Step Functions don't run without a role that is named to them."},
        references=(
            "azure-policy:Workspace_UAIEnabled_Audit",
            "checkov:CKV_GCP_30",
            "checkov:CKV_GCP_31",
            "checkov:CKV_AZURE_238",
        ),
    ),
    Rule(
        "MLB-IAM-017",
        "No secret is written into environment variables, arguments or start-up scripts.",
        Severity.CRITICAL,
        "Keep the secret in the secret store, and refer to it.",
        checks={
            "aws:codebuild/project:Project": no_secret_in("environment.environmentVariables"),
            "aws:ecs/taskDefinition:TaskDefinition": no_secret_in_json("containerDefinitions", "environment"),
            "aws:glue/job:Job": no_secret_in("defaultArguments"),
            "aws:lambda/function:Function": no_secret_in("environment.variables"),
            "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition": no_secret_in(
                "dataQualityAppSpecification.environment"
            ),
            "aws:sagemaker/model:Model": all_of(
                no_secret_in("primaryContainer.environment"), no_secret_in("containers[].environment")
            ),
            "aws:sagemaker/notebookInstanceLifecycleConfiguration:NotebookInstanceLifecycleConfiguration": all_of(
                no_secret_script("onCreate"), no_secret_script("onStart")
            ),
            "aws:sagemaker/pipeline:Pipeline": no_secret_in_json("pipelineDefinition", "environment"),
            "aws:sagemaker/studioLifecycleConfig:StudioLifecycleConfig": no_secret_script(
                "studioLifecycleConfigContent"
            ),
            "aws:sagemaker/trainingJob:TrainingJob": all_of(
                no_secret_in("environment"), no_secret_in("hyperParameters")
            ),
            "gcp:cloudfunctionsv2/function:Function": no_secret_in("serviceConfig.environmentVariables"),
            "gcp:cloudrunv2/job:Job": no_secret_in("template.template.containers[].envs"),
            "gcp:cloudrunv2/service:Service": no_secret_in("template.containers[].envs"),
            GCP_MODEL: no_secret_in("container.environment"),
            "gcp:colab/runtimeTemplate:RuntimeTemplate": no_secret_in("softwareConfig.envs"),
            "gcp:workbench/instance:Instance": all_of(
                no_secret_in("gceSetup.metadata"), no_secret_script("gceSetup.metadata.startup-script")
            ),
            "gcp:workflows/workflow:Workflow": no_secret_in("userEnvVars"),
            "azure-native:app:ContainerApp": no_secret_in("template.containers[].env"),
            "azure-native:app:Job": no_secret_in("template.containers[].env"),
            f"{_ML}:BatchDeployment": no_secret_in("properties.environmentVariables"),
            f"{_ML}:Compute": no_secret_script("properties.properties.setupScripts.scripts.startupScript.scriptData"),
            f"{_ML}:Job": no_secret_in("properties.environmentVariables"),
            f"{_ML}:OnlineDeployment": no_secret_in("properties.environmentVariables"),
            "azure-native:web:WebAppApplicationSettings": no_secret_in("properties"),
        },
        references=_SECRETS_SOURCE,
        exemptible=False,
    ),
    Rule(
        "MLB-IAM-018",
        "People sign in through single sign-on.",
        Severity.MEDIUM,
        "Let people come through IAM Identity Center or Entra ID, and have no users of their own in the account.",
        checks={
            "aws:sagemaker/domain:Domain": equals("authMode", "SSO"),
            "aws:iam/user:User": never("no user: people come through IAM Identity Center, machines have roles"),
            "aws:iam/userLoginProfile:UserLoginProfile": never("no password: people come through IAM Identity Center"),
            f"{_ML}:Compute": when(
                equals("properties.computeType", "ComputeInstance"),
                equals("properties.properties.enableSSO", True, True, f"{_AZURE_API}/machinelearningservices/compute/"),
            ),
        },
        missing={"gcp": "Workbench, Colab Enterprise and Vertex AI open with a Google or federated identity only."},
        references=("checkov:CKV_AWS_273", "prowler:sagemaker_domain_sso_configured"),
    ),
    Rule(
        "MLB-IAM-020",
        "A notebook opens to the one person whose it is.",
        Severity.MEDIUM,
        "Make the space private, name the owner of the instance, and let no other user open its applications.",
        checks={
            "aws:sagemaker/space:Space": all_of(
                present("ownershipSettings.ownerUserProfileName"),
                equals("spaceSharingSettings.sharingType", "Private"),
            ),
            "gcp:workbench/instance:Instance": present("instanceOwners"),
            f"{_ML}:Compute": when(
                equals("properties.computeType", "ComputeInstance"),
                all_of(
                    present("properties.properties.personalComputeInstanceSettings.assignedUser.objectId"),
                    equals(
                        "properties.properties.applicationSharingPolicy",
                        "Personal",
                        "Shared",
                        f"{_AZURE_API}/machinelearningservices/compute/",
                    ),
                ),
            ),
        },
    ),
)
