"""The contract of the data in Azure's schema registry: its group, and the run that fills it."""

import hashlib
import json
from pathlib import Path

import pulumi
from pulumi_azure_native import eventhub

from ml_blueprints.azure import facts
from ml_blueprints.azure.publication import Publisher
from ml_blueprints.workload import Contract


def told(contract: Contract) -> dict[str, str]:
    """What is said of a contract where producers and consumers look: in the registry and in the catalog."""
    said = {"contract": contract.record["name"], "compatibility": contract.compatibility}
    return said if contract.version is None else {**said, "version": str(contract.version)}


def version(contract: Contract) -> str:
    """The version of all that is published of a contract, which follows from its content."""
    return hashlib.sha256(json.dumps(dict(contract.published), sort_keys=True).encode()).hexdigest()[:12]


class ContractRegistry(pulumi.ComponentResource):
    """A group of schemas in a namespace that clients reach at `host`.

    group: the group. run: what puts the contract's published versions into it; None for a contract without a history.
    Only the registry's data plane takes schemas, and nothing outside of the network reaches it: the image
    of the platform, which holds the contracts, hands them over in a run of the workspace
    (https://learn.microsoft.com/azure/event-hubs/schema-registry-overview).
    """

    def __init__(
        self,
        publisher: Publisher,
        namespace: eventhub.Namespace,
        host: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ):
        context = publisher.context
        super().__init__("ml-blueprints:azure:ContractRegistry", context.logical("contracts"), None, opts)
        contract = context.workload.data.contract
        self.group = eventhub.SchemaRegistry(
            context.logical("contracts"),
            resource_group_name=publisher.foundation.group,
            namespace_name=namespace.name,
            schema_group_name="contracts",
            schema_type=eventhub.SchemaType.AVRO,
            schema_compatibility=facts.SCHEMA_COMPATIBILITY[contract.compatibility],
            group_properties=told(contract),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.run = self._published(publisher, namespace, host, contract) if contract.history is not None else None
        self.register_outputs({"groupId": self.group.id})

    def _published(
        self, publisher: Publisher, namespace: eventhub.Namespace, host: pulumi.Input[str], contract: Contract
    ) -> pulumi.CustomResource:
        identity, own = publisher.dependencies.identity, pulumi.ResourceOptions(parent=self)
        may_publish = publisher.foundation.assign(
            "workspaces-contracts", identity.principal_id, facts.ROLE_SCHEMA_WRITER, namespace.id, own
        )
        reaches = publisher.workspace.reach("contracts", namespace.id, "namespace")
        words = (*facts.COMMANDS["publish"], "azure", "--contract", Path(contract.path).parent.name, "--namespace")
        return publisher.run(
            "contract",
            version(contract),
            pulumi.Output.concat(" ".join(words), " ", host, " --group ", self.group.name),
            # By this azure-identity tells the workspace's identity from others that are attached.
            {"AZURE_CLIENT_ID": identity.client_id},
            {},
            pulumi.ResourceOptions(parent=self, depends_on=[may_publish, reaches]),
        )
