"""The data layer on Azure: zones, datastores, catalog, contract, events and dead letters, and who may do what."""

import pytest

CONTAINER = "azure-native:storage:BlobContainer"
DATASTORE = "azure-native:machinelearningservices:Datastore"
HUB = "azure-native:eventhub:EventHub"
NAMESPACE = "azure-native:eventhub:Namespace"
ZONES = ["raw", "curated", "features", "models"]
READ, WRITE = "Storage Blob Data Reader", "Storage Blob Data Contributor"


@pytest.mark.parametrize("zone", ZONES)
def test_each_zone_is_a_closed_container_of_the_lake(streaming, named, zone):
    container = named(streaming, CONTAINER, f"fraud-detection-{zone}")
    lake = named(streaming, "azure-native:storage:StorageAccount", "fraud-detection-lake")
    assert container.inputs["accountName"] == lake.inputs["accountName"]
    assert container.inputs["containerName"] == zone
    assert container.inputs["publicAccess"] == "None"
    assert container.parent == lake.urn


@pytest.mark.parametrize(("platform", "days"), [("streaming", 400), ("batch", 2555), ("hybrid", 365)])
def test_data_goes_when_its_retention_ends_and_models_stay(request, named, platform, days):
    built = request.getfixturevalue(platform)
    policy = named(built, "azure-native:storage:ManagementPolicy", f"{built.platform.context.name}-lake")
    (rule,) = policy.inputs["policy"]["rules"]
    assert rule["enabled"] is True
    assert rule["definition"]["filters"] == {
        "blobTypes": ["blockBlob"],
        "prefixMatch": ["raw/", "curated/", "features/", "models/runs/"],
    }
    assert rule["definition"]["actions"] == {
        "baseBlob": {"delete": {"daysAfterModificationGreaterThan": days}},
    }


@pytest.mark.parametrize("zone", ZONES)
def test_jobs_reach_a_zone_by_a_datastore_without_credentials(streaming, named, zone):
    datastore = named(streaming, DATASTORE, f"fraud-detection-{zone}").inputs
    lake = named(streaming, "azure-native:storage:StorageAccount", "fraud-detection-lake").inputs
    assert datastore["name"] == zone
    properties = datastore["properties"]
    assert (properties["datastoreType"], properties["containerName"]) == ("AzureBlob", zone)
    assert properties["accountName"] == lake["accountName"]
    assert properties["credentials"] == {"credentialsType": "None"}


@pytest.mark.parametrize(
    ("platform", "record", "first", "compatibility"),
    [
        ("streaming", "CardTransaction", "event_id,card_id,event_time", "BACKWARD"),
        ("batch", "CreditApplication", "application_id,event_time", "FULL_ALL"),
    ],
)
def test_the_catalog_has_the_contracts_columns_and_leads_to_the_events(
    request, named, platform, record, first, compatibility
):
    built = request.getfixturevalue(platform)
    name = f"{built.platform.context.name}-raw"
    asset = named(built, "azure-native:machinelearningservices:DataContainer", name).inputs
    assert asset["name"] == record.lower()
    assert asset["properties"]["dataType"] == "uri_folder"
    properties = asset["properties"]["properties"]
    assert properties["contract"] == record
    assert properties["version"] == str(built.platform.context.workload.data.contract.version)
    assert properties["compatibility"] == compatibility
    assert properties["columns"].startswith(first)
    version = named(built, "azure-native:machinelearningservices:DataVersion", name).inputs
    assert (version["name"], version["version"]) == (record.lower(), "1")
    (workspace,) = {version["workspaceName"], asset["workspaceName"]}
    assert version["properties"]["dataUri"].endswith(f"/workspaces/{workspace}/datastores/raw/paths/events/")


@pytest.mark.parametrize(
    ("platform", "record", "written", "kept"),
    [
        ("streaming", "CardTransaction", "BACKWARD", "Backward"),
        ("batch", "CreditApplication", "FULL_ALL", "Backward"),
        ("hybrid", "Delivery", "BACKWARD_ALL", "Backward"),
    ],
)
def test_contracts_have_a_group_with_their_compatibility(request, platform, record, written, kept):
    built = request.getfixturevalue(platform)
    (group,) = built.of_type("azure-native:eventhub:SchemaRegistry")
    (namespace,) = built.of_type(NAMESPACE)
    assert group.inputs["namespaceName"] == namespace.id.rpartition("/")[2]
    assert group.inputs["schemaType"] == "Avro"
    assert group.inputs["schemaCompatibility"] == kept
    version = str(built.platform.context.workload.data.contract.version)
    assert group.inputs["groupProperties"] == {"contract": record, "compatibility": written, "version": version}


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid"])
def test_a_run_hands_the_contracts_versions_to_the_group_from_inside_of_the_network(
    request, named, identity, waits_for, platform
):
    built = request.getfixturevalue(platform)
    context = built.platform.context
    run = named(built, "azure-native:machinelearningservices:Job", f"{context.name}-publish-contract")
    (namespace,) = built.of_type(NAMESPACE)
    host = f"{namespace.id.rpartition('/')[2]}.servicebus.windows.net"
    folder = context.workload.data.contract.path.split("/")[-2]
    assert run.inputs["properties"]["command"] == (
        f"python -m ml_pipelines.contracts.publish azure --contract {folder} --namespace {host} --group contracts"
    )
    assert run.inputs["properties"]["identity"]["resourceId"] == identity(built, "workspaces")
    client = run.inputs["properties"]["identity"]["clientId"]
    assert run.inputs["properties"]["environmentVariables"] == {"AZURE_CLIENT_ID": client}
    needed = {"RoleAssignment workspaces-contracts", "ManagedNetworkSettingsRule ml-to-contracts"}
    assert needed <= waits_for(built, run)


def test_dead_letters_have_a_hub_of_their_own_as_small_as_it_can_be(streaming, named):
    assert [hub.name for hub in streaming.of_type(HUB)] == [
        f"fraud-detection-{name}" for name in ("dead-letters", "decisions", "events")
    ]
    assert named(streaming, HUB, "fraud-detection-dead-letters").inputs["partitionCount"] == 2


def test_the_processor_reads_events_as_a_group_of_its_own(streaming, named):
    (group,) = streaming.of_type("azure-native:eventhub:ConsumerGroup")
    events = named(streaming, HUB, "fraud-detection-events")
    assert group.parent == events.urn
    assert group.inputs["eventHubName"] == "events"
    assert group.inputs["consumerGroupName"] == "processor"


def test_checkpoints_are_closed_and_not_in_the_lake(streaming, named):
    checkpoints = named(streaming, CONTAINER, "fraud-detection-checkpoints")
    account = named(streaming, "azure-native:storage:StorageAccount", "fraud-detection-mlstore")
    assert checkpoints.parent == account.urn
    assert checkpoints.inputs["accountName"] == account.inputs["accountName"]
    assert checkpoints.inputs["publicAccess"] == "None"


def test_batch_has_a_contract_but_no_stream(batch):
    assert batch.of_type("azure-native:eventhub:SchemaRegistry")
    for token in (HUB, "azure-native:eventhub:ConsumerGroup"):
        assert not batch.of_type(token)
    assert "credit-scoring-checkpoints" not in [container.name for container in batch.of_type(CONTAINER)]
    assert batch.platform.data.stream is None
    assert batch.platform.data.dead_letters is None


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid"])
@pytest.mark.parametrize(
    ("purpose", "expected"),
    [
        ("ingest", {("raw", WRITE)}),
        ("training", {("raw", READ), ("curated", WRITE), ("features", READ), ("models", WRITE)}),
        ("serving", {("curated", WRITE), ("features", READ), ("models", READ)}),
        ("monitoring", {("curated", WRITE), ("models", READ)}),
        ("exploration", {("curated", READ), ("features", READ)}),
    ],
)
def test_each_identity_reads_and_writes_its_zones_only(request, granted, platform, purpose, expected):
    found = granted(request.getfixturevalue(platform), purpose)
    containers = {(scope.removeprefix("BlobContainer "), role) for role, scope in found if role in (READ, WRITE)}
    # What is scored on a schedule is made of the events themselves.
    scores = {("raw", READ)} if purpose == "serving" and platform != "streaming" else set()
    assert containers - {("checkpoints", WRITE), ("scratch", WRITE)} == expected | scores


@pytest.mark.parametrize("platform", ["streaming", "hybrid"])
def test_only_ingest_reads_events_sends_dead_letters_and_keeps_checkpoints(request, granted, platform):
    built = request.getfixturevalue(platform)
    rights = {
        ("Azure Event Hubs Data Receiver", "EventHub events"),
        ("Azure Event Hubs Data Sender", "EventHub dead-letters"),
        (WRITE, "BlobContainer checkpoints"),
    }
    assert rights <= granted(built, "ingest")
    for purpose in ("training", "serving", "monitoring"):
        scopes = {scope for _, scope in granted(built, purpose)}
        assert not scopes & {"EventHub events", "EventHub dead-letters", "BlobContainer checkpoints"}


def test_the_workspace_publishes_contracts_and_ingest_reads_them(streaming, granted):
    assert ("Schema Registry Contributor", "Namespace events") in granted(streaming, "workspaces")
    assert ("Schema Registry Reader", "Namespace events") in granted(streaming, "ingest")
    for purpose in ("training", "serving", "monitoring"):
        assert "Namespace events" not in {scope for _, scope in granted(streaming, purpose)}


def test_batch_sends_no_events_and_reads_none(batch, granted):
    assert not [scope for _, scope in granted(batch, "ingest") if scope.startswith("EventHub")]


@pytest.mark.parametrize("platform", ["streaming", "batch", "house"])
def test_who_reads_and_writes_features_and_models_is_in_the_logs(request, named, platform):
    built = request.getfixturevalue(platform)
    context = built.platform.context
    (logs,) = built.of_type("azure-native:operationalinsights:Workspace")
    trail = {made.pulumi_resource_name for made in context.register.realised["audit-trail"]}
    kept = [one.inputs for one in built.of_type("azure-native:monitor:DiagnosticSetting") if one.name in trail]
    lake = named(built, "azure-native:storage:StorageAccount", f"{context.name}-lake")
    registry = named(built, "azure-native:machinelearningservices:Workspace", f"ml-{context.token}")
    assert {one["resourceUri"] for one in kept} == {f"{lake.id}/blobServices/default", registry.id}
    for one in kept:
        assert (one["workspaceId"], one["logs"]) == (logs.id, [{"categoryGroup": "allLogs", "enabled": True}])
    assert logs.inputs["retentionInDays"] == 365
