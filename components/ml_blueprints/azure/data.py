"""The data layer on Azure: data lake, workspace with datastores and catalog, schema group and event hubs.

The workspace of Azure Machine Learning is made here, since its data assets are the catalog: this layer is the first
that needs it. The layers after it register their models, pipelines and endpoints in the same workspace.
"""

from collections.abc import Mapping
from urllib.parse import urlparse

import pulumi
from pulumi_azure_native import eventhub, machinelearningservices, storage

from ml_blueprints import layers
from ml_blueprints.azure import event_hubs, facts
from ml_blueprints.azure.contract_registry import ContractRegistry, told
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.layer import AzureLayer
from ml_blueprints.azure.platform_image import PlatformImage
from ml_blueprints.azure.publication import Publisher
from ml_blueprints.azure.storage_account import account_name, delete_after, private_account
from ml_blueprints.azure.workspace import Dependencies, Workspace
from ml_blueprints.layers import Context, Zone, required
from ml_blueprints.settings import Purpose

# Version of the catalogued data set. It names a place, not a state of it, so that it doesn't change with the data.
DATA_VERSION = "1"

# The lake's storage account.
LAKE = "lake"

# Where in the raw zone events lie: captured from their hub of this name, or put there by who has the data.
EVENTS = "events/"

# Where in the models zone runs of pipelines leave what they hand over from step to step.
RUNS = "runs/"


class Data(AzureLayer, layers.Data):
    """Lake, catalog, contract and event stream on Azure.

    Native resources: `account` with its `access_log`, `containers` by zone, `dependencies`, `workspace_component` with
    its `workspace`, `image` (the platform's, in the workspace), `publisher` (of what lies where only the network
    reaches), `feature_identity` (under which features are computed), `datastores` by zone, `data_asset`,
    `data_version`, `namespace`, `contract_registry` with its group `contracts` and the `run` that fills it, and for
    streams `hub`, `consumer_group`, `checkpoints`, `dead_letter_hub`; `capture` is where hubs are kept, `reads` what a
    reader of the stream waits for.

    Microsoft Purview is left out: an account catalogs a whole tenant, so that the organisation has it, or not, and
    registers the lake there.
    """

    def __init__(
        self, context: Context, foundation: Foundation, stream: bool, opts: pulumi.ResourceOptions | None = None
    ):
        super().__init__(context, opts)
        self.foundation = foundation
        self.hub: eventhub.EventHub | None = None
        self.dead_letter_hub: eventhub.EventHub | None = None
        self._lake()
        self._workspace()
        self._catalog()
        self._contract(stream)
        self._rights()
        self.realise("audit-trail", self.access_log, self.workspace_component.access_log)
        if stream:
            self._archive()
            self._stream()
            self._dead_letters()
            self._reads()
        self.give(
            zones={zone: self._uri(container) for zone, container in self.containers.items()},
            catalog=self.data_asset.id,
            schema=self.contracts.id,
            stream=self.hub.id if self.hub else None,
            dead_letters=self.dead_letter_hub.id if self.dead_letter_hub else None,
        )

    def path(self, zone: Zone, path: str) -> pulumi.Output[str]:
        """A place in a zone as jobs and assets of the workspace take it."""
        workspace = ("/resourcegroups/", self.foundation.group, "/workspaces/", self.workspace.name)
        place = ("/datastores/", self.datastores[zone].name, f"/paths/{path}")
        return pulumi.Output.concat("azureml://subscriptions/", self.foundation.subscription, *workspace, *place)

    def uri(self, zone: Zone, path: str) -> str:
        """A place in a zone as Spark reads and writes it."""
        return f"abfss://{zone.value}@{account_name(self.context, LAKE)}.dfs.core.windows.net/{path}"

    @property
    def event_host(self) -> pulumi.Output[str]:
        """The host name under which clients reach the namespace."""
        return self.namespace.service_bus_endpoint.apply(lambda url: urlparse(url).hostname or "")

    def _uri(self, container: storage.BlobContainer) -> pulumi.Output[str]:
        return pulumi.Output.concat("abfss://", container.name, "@", self.account.name, ".dfs.core.windows.net")

    def _lake(self) -> None:
        context, foundation = self.context, self.foundation
        self.account, self.access_log = private_account(
            context,
            LAKE,
            foundation.group,
            foundation.location,
            foundation.encryption,
            foundation.log_workspace.id,
            hierarchical=True,
            opts=self.child(depends_on=foundation.ready),
        )
        self.containers = {
            zone: storage.BlobContainer(
                context.logical(zone),
                resource_group_name=foundation.group,
                account_name=self.account.name,
                container_name=zone.value,
                public_access=storage.PublicAccess.NONE,
                opts=pulumi.ResourceOptions(parent=self.account),
            )
            for zone in Zone
        }
        # Data of people goes when its retention ends, in what pipelines made of it too; models are kept.
        delete_after(
            context,
            LAKE,
            foundation.group,
            self.account,
            context.workload.data.retention_days,
            [f"{zone.value}/{RUNS if zone is Zone.MODELS else ''}" for zone in Zone],
        )
        foundation.private_endpoint("lake-dfs", self.account.id, "dfs")
        foundation.private_endpoint("lake-blob", self.account.id, "blob")
        self.realise("data-lake", *self.containers.values())

    def _workspace(self) -> None:
        """The lake is reached by datastores without credentials: a job shows the identity under which it runs."""
        context, foundation = self.context, self.foundation
        self.dependencies = Dependencies(context, foundation, opts=self.child())
        self.feature_identity = foundation.identity("materialization")
        spark = [self.feature_identity.id]
        component = Workspace(context, foundation, self.dependencies, "ml", "Default", spark, opts=self.child())
        self.workspace_component, self.workspace = component, component.workspace
        self.image = PlatformImage(
            context, foundation.group, self.workspace, self.dependencies.registry, opts=self.child()
        )
        self.publisher = Publisher(context, foundation, self.dependencies, component, self.image)
        component.reach("lake-dfs", self.account.id, "dfs", spark=True)
        component.reach("lake-blob", self.account.id, "blob", spark=True)
        self.datastores = {
            zone: machinelearningservices.Datastore(
                context.logical(zone),
                resource_group_name=foundation.group,
                workspace_name=component.name,
                # Letters, digits and `_`.
                name=zone.value,
                # The data collector of endpoints writes to blob datastores, which a lake is too.
                properties=machinelearningservices.AzureBlobDatastoreArgs(
                    datastore_type="AzureBlob",
                    description=f"The {zone} zone of {context.workload.name}",
                    account_name=self.account.name,
                    container_name=container.name,
                    credentials=machinelearningservices.NoneDatastoreCredentialsArgs(credentials_type="None"),
                ),
                opts=pulumi.ResourceOptions(parent=self.workspace),
            )
            for zone, container in self.containers.items()
        }

    def _catalog(self) -> None:
        contract = self.context.workload.data.contract
        self.data_asset, self.data_version = self.catalogued(
            "raw",
            contract.record["name"].lower(),
            DATA_VERSION,
            self.path(Zone.RAW, EVENTS),
            contract.record.get("doc", ""),
            {**told(contract), "columns": ",".join(contract.columns)},
            self.child(),
        )
        self.realise("data-catalog", self.data_asset)

    def catalogued(
        self,
        part: str,
        name: str,
        version: str,
        uri: pulumi.Input[str],
        description: str,
        properties: Mapping[str, str],
        opts: pulumi.ResourceOptions,
    ) -> tuple[machinelearningservices.DataContainer, machinelearningservices.DataVersion]:
        """A folder (its URI) as a data asset of the workspace, which is found by name."""
        place = {"resource_group_name": self.foundation.group, "workspace_name": self.workspace.name}
        asset = machinelearningservices.DataContainer(
            self.context.logical(part),
            name=name,
            properties=machinelearningservices.DataContainerPropertiesArgs(
                data_type=machinelearningservices.DataType.URI_FOLDER,
                description=description,
                tags=self.context.tags,
                properties=properties,
            ),
            opts=opts,
            **place,
        )
        return asset, machinelearningservices.DataVersion(
            self.context.logical(part),
            name=asset.name,
            version=version,
            properties=machinelearningservices.UriFolderDataVersionArgs(
                data_type="uri_folder", data_uri=uri, description=description, tags=self.context.tags
            ),
            opts=opts,
            **place,
        )

    def _contract(self, stream: bool) -> None:
        """A namespace for contracts, and where the platform has a stream for its events too."""
        context, foundation = self.context, self.foundation
        # A namespace captures under an identity only if it has it.
        captures = [foundation.identities[Purpose.INGEST]] if stream else []
        self.namespace = event_hubs.private_namespace(
            context, foundation, captures, self.child(depends_on=foundation.ready)
        )
        foundation.private_endpoint("events", self.namespace.id, "namespace")
        foundation.keep_logs("events", self.namespace)
        self.contract_registry = ContractRegistry(self.publisher, self.namespace, self.event_host, opts=self.child())
        self.contracts = self.contract_registry.group
        self.realise("schema-registry", self.contracts)

    def _archive(self) -> None:
        """Hubs are captured to the raw zone, under the identity that ingests.

        The files are Avro, and say of each event when its hub took it and as which of its partition.

        https://learn.microsoft.com/azure/event-hubs/event-hubs-capture-managed-identity
        """
        self.capture = event_hubs.Capture(
            account=self.account.id,
            container=self.containers[Zone.RAW].name,
            identity=self.foundation.identities[Purpose.INGEST],
        )

    def captured_hub(self, name: str, partition_count: int, parent: pulumi.Resource | None = None) -> eventhub.EventHub:
        """A hub of the namespace, kept for replay and captured to a folder of its own name.

        parent: what it is a part of, where that isn't the namespace.
        """
        return event_hubs.captured_hub(
            self.context,
            self.foundation.group,
            self.namespace.name,
            name,
            partition_count,
            self.capture,
            pulumi.ResourceOptions(parent=parent or self.namespace, depends_on=self.grants[Purpose.INGEST]),
        )

    def _stream(self) -> None:
        """Events, in as many partitions as the peak and the replicas of their reader need; one entity's are in one."""
        context, workload = self.context, self.context.workload
        self.hub = self.captured_hub(
            EVENTS.rstrip("/"),
            event_hubs.partitions(workload.data.events_per_second, workload.serving.replicas.maximum),
        )
        self.consumer_group = eventhub.ConsumerGroup(
            context.logical("processor"),
            resource_group_name=self.foundation.group,
            namespace_name=self.namespace.name,
            event_hub_name=self.hub.name,
            consumer_group_name="processor",
            opts=pulumi.ResourceOptions(parent=self.hub),
        )
        self._checkpoints()
        self.realise("stream-ingest", self.hub)
        self.realise("stream-archive", self.hub)

    def _dead_letters(self) -> None:
        self.dead_letter_hub = self.captured_hub("dead-letters", facts.MINIMUM_PARTITIONS)
        self.realise("dead-letters", self.dead_letter_hub)

    def _reads(self) -> None:
        """Ingest reads events, keeps how far it came, and sends what it can't use to the dead letters."""
        events = required(self.hub, "a hub of events")
        dead_letters = required(self.dead_letter_hub, "a hub of dead letters")
        scopes = {
            "events": (events.id, facts.ROLE_EVENT_RECEIVER),
            "dead-letters": (dead_letters.id, facts.ROLE_EVENT_SENDER),
            "checkpoints": (self.checkpoints.id, facts.ROLE_BLOB_WRITER),
        }
        self.reads = [
            grant
            for part, (scope, role) in scopes.items()
            for grant in self.foundation.grant(Purpose.INGEST, part, role, scope)
        ]

    def _checkpoints(self) -> None:
        """How far the processor has read; not in the lake, whose hierarchical namespace doesn't suit it.

        https://learn.microsoft.com/azure/event-hubs/event-processor-balance-partition-load#checkpointing
        """
        account = self.dependencies.account
        self.checkpoints = storage.BlobContainer(
            self.context.logical("checkpoints"),
            resource_group_name=self.foundation.group,
            account_name=account.name,
            container_name="checkpoints",
            public_access=storage.PublicAccess.NONE,
            opts=pulumi.ResourceOptions(parent=account),
        )
        self.checkpoints_url = pulumi.Output.concat(account.primary_endpoints.blob, self.checkpoints.name)

    def _rights(self) -> None:
        """Who may read and write which zone: ingest writes raw, training reads it and writes models.

        Features are written by the identity that computes them and by nobody else (features.py). Whoever explores reads
        what was made of events, not the events themselves, in an experiment too.
        """
        roles = {
            Purpose.INGEST: {Zone.RAW: facts.ROLE_BLOB_WRITER},
            Purpose.TRAINING: {
                Zone.RAW: facts.ROLE_BLOB_READER,
                Zone.CURATED: facts.ROLE_BLOB_WRITER,
                Zone.FEATURES: facts.ROLE_BLOB_READER,
                Zone.MODELS: facts.ROLE_BLOB_WRITER,
            },
            Purpose.SERVING: {
                Zone.CURATED: facts.ROLE_BLOB_WRITER,
                Zone.FEATURES: facts.ROLE_BLOB_READER,
                Zone.MODELS: facts.ROLE_BLOB_READER,
            },
            Purpose.MONITORING: {Zone.CURATED: facts.ROLE_BLOB_WRITER, Zone.MODELS: facts.ROLE_BLOB_READER},
            Purpose.EXPLORATION: {Zone.CURATED: facts.ROLE_BLOB_READER, Zone.FEATURES: facts.ROLE_BLOB_READER},
        }
        self.grants = {
            purpose: [
                grant
                for zone, role in zones.items()
                for grant in self.foundation.grant(purpose, zone, role, self.containers[zone].id)
            ]
            for purpose, zones in roles.items()
        }
        self.foundation.grant(Purpose.INGEST, "contracts", facts.ROLE_SCHEMA_READER, self.namespace.id)
