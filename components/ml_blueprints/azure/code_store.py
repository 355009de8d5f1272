"""Code that jobs run, put where a job can name it: from inside of the network, without a shared key.

A Spark job names its code by an asset of the workspace, and the asset names a folder of blobs. Nothing outside of the
network can write there: the account has no public access. It has no keys either, which `storage.Blob` of
pulumi-azure-native would list (https://github.com/pulumi/pulumi-azure-native/issues/2015), as a deployment script would
for the share that it mounts
(https://learn.microsoft.com/azure/azure-resource-manager/bicep/deployment-script-vnet-private-endpoint). So a run of
the workspace writes the files. It is asked for through Azure Resource Manager, holds their text, and works under the
workspace's own identity. What is written is named after its content, so that it is written once and never changes.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import machinelearningservices, storage

from ml_blueprints.azure import facts
from ml_blueprints.azure.publication import Publisher
from ml_blueprints.azure.workspace import Workspace
from ml_blueprints.errors import BlueprintError, Problem

# The container, and the name of a workspace's datastore for it.
CODE = "code"

# Writes the files that the variable FILES holds to the folder that it is given.
WRITE = (
    'python -c "import base64, json, os, pathlib, sys; '
    "[(path.parent.mkdir(parents=True, exist_ok=True), path.write_text(text, encoding='utf-8')) for path, text in "
    "((pathlib.Path(sys.argv[1], name), text) for name, text in "
    "json.loads(base64.b64decode(os.environ['FILES'])).items())]\" ${{outputs.code}}"
)


def version(files: Mapping[str, str]) -> str:
    """The version of some files (text by name), which follows from their content."""
    return hashlib.sha256(_document(files)).hexdigest()[:12]


def packed(field: str, files: Mapping[str, str]) -> str:
    """Files as one variable of a run. Raises BlueprintError, naming the field, where they are too long for one."""
    text = base64.b64encode(_document(files)).decode()
    if len(text) >= facts.LONGEST_VARIABLE:
        size = sum(len(content.encode()) for content in files.values())
        most = facts.LONGEST_VARIABLE * 3 // 4
        problem = Problem(field, f"{size} bytes", f"on Azure a job has less than {most} bytes, so shorten it")
        raise BlueprintError("the workload", [problem])
    return text


def _document(files: Mapping[str, str]) -> bytes:
    return json.dumps(dict(files), sort_keys=True).encode()


@dataclass(frozen=True)
class Published:
    """Files in the store. code: the asset that jobs name. path: where they lie in any datastore of the store."""

    code: machinelearningservices.CodeVersion
    path: str
    run: machinelearningservices.Job


class CodeStore(pulumi.ComponentResource):
    """A container of the workspaces' own storage for code, and what puts it there.

    container: the container. datastores: the store as each workspace that reads it knows it, by the workspace's part.
    """

    def __init__(self, publisher: Publisher, opts: pulumi.ResourceOptions | None = None):
        context = publisher.context
        super().__init__("ml-blueprints:azure:CodeStore", context.logical(CODE), None, opts)
        self.publisher, self.context, self.foundation = publisher, context, publisher.foundation
        self.dependencies, self.workspace = publisher.dependencies, publisher.workspace
        self.container = storage.BlobContainer(
            context.logical(CODE),
            resource_group_name=self.foundation.group,
            account_name=self.dependencies.account.name,
            container_name=CODE,
            public_access=storage.PublicAccess.NONE,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.datastores: dict[str, machinelearningservices.Datastore] = {}
        self.known_in(self.workspace)
        self.register_outputs({"containerId": self.container.id})

    def known_in(self, workspace: Workspace) -> None:
        """Let jobs and assets of a workspace name what lies in the store; who reads it shows an identity."""
        self.datastores[workspace.part] = machinelearningservices.Datastore(
            self.context.logical(f"{workspace.part}-{CODE}"),
            resource_group_name=self.foundation.group,
            workspace_name=workspace.name,
            name=CODE,
            properties=machinelearningservices.AzureBlobDatastoreArgs(
                datastore_type="AzureBlob",
                description=f"Code of {self.context.workload.name}",
                account_name=self.dependencies.account.name,
                container_name=self.container.name,
                credentials=machinelearningservices.NoneDatastoreCredentialsArgs(credentials_type="None"),
            ),
            opts=pulumi.ResourceOptions(parent=workspace.workspace),
        )

    def uri(self, workspace: Workspace, path: str) -> pulumi.Output[str]:
        """A place in the store as a workspace names it."""
        whose = ("/resourcegroups/", self.foundation.group, "/workspaces/", workspace.name)
        place = ("/datastores/", self.datastores[workspace.part].name, f"/paths/{path}")
        return pulumi.Output.concat("azureml://subscriptions/", self.foundation.subscription, *whose, *place)

    def publish(self, part: str, field: str, files: Mapping[str, str]) -> Published:
        """Put files (text by name) into the store; `field` of the workload is where they come from.

        They are there when the run has ended, some minutes after the deployment. Raises BlueprintError for files that
        are too long.
        """
        context, path = self.context, f"{part}/{version(files)}"
        place = {"resource_group_name": self.foundation.group, "workspace_name": self.workspace.name}
        written = machinelearningservices.UriFolderJobOutputArgs(
            job_output_type="uri_folder",
            mode=machinelearningservices.OutputDeliveryMode.UPLOAD,
            uri=self.uri(self.workspace, f"{path}/"),
        )
        run = self.publisher.run(
            part,
            version(files),
            WRITE,
            {"FILES": packed(field, files)},
            {"code": written},
            pulumi.ResourceOptions(parent=self),
        )
        container = machinelearningservices.CodeContainer(
            context.logical(part),
            name=part,
            properties=machinelearningservices.CodeContainerPropertiesArgs(
                description=f"{part} of {context.workload.name}", tags=context.tags
            ),
            opts=pulumi.ResourceOptions(parent=self),
            **place,
        )
        code = machinelearningservices.CodeVersion(
            context.logical(part),
            name=container.name,
            version=version(files),
            properties=machinelearningservices.CodeVersionPropertiesArgs(
                code_uri=pulumi.Output.concat(
                    self.dependencies.account.primary_endpoints.blob, self.container.name, f"/{path}"
                ),
                description=f"{part} of {context.workload.name}",
                tags=context.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[run]),
            **place,
        )
        return Published(code, path, run)
