"""Event hubs on Azure: their sizes, a closed and encrypted namespace, and what is kept of the events."""

import pytest
from ml_blueprints.azure import event_hubs

NAMESPACE = "azure-native:eventhub:Namespace"
HUB = "azure-native:eventhub:EventHub"


@pytest.mark.parametrize(
    ("events", "units"),
    [
        (1, 1),
        (5_000, 1),
        (5_001, 2),
        (10_001, 4),
        (20_001, 8),
        (40_000, 8),
        (40_001, 16),
        (80_000, 16),
        (100_000, 16),
    ],
)
def test_a_namespace_has_the_smallest_size_that_is_enough(events, units):
    assert event_hubs.processing_units(events) == units


@pytest.mark.parametrize(
    ("events", "partitions"),
    [(1, 2), (1_000, 2), (2_000, 2), (2_001, 3), (50_000, 50), (99_001, 100), (100_000, 100)],
)
def test_a_stream_has_readers_for_its_events_within_azures_bounds(events, partitions):
    assert event_hubs.partitions(events) == partitions


@pytest.mark.parametrize(
    ("events", "readers", "partitions"), [(100, 8, 8), (9_000, 8, 9), (100, 1, 2), (100, 200, 100)]
)
def test_each_replica_of_the_processor_has_a_partition_to_read(events, readers, partitions):
    assert event_hubs.partitions(events, readers) == partitions


def test_captures_are_within_azures_bounds():
    # https://learn.microsoft.com/azure/event-hubs/event-hubs-capture-overview: 1 to 15 minutes, 10 to 500 MB.
    assert 60 <= event_hubs.CAPTURE_SECONDS <= 900
    assert 10 * 1024**2 <= event_hubs.CAPTURE_BYTES <= 500 * 1024**2
    parts = ["Namespace", "EventHub", "PartitionId", "Year", "Month", "Day", "Hour", "Minute", "Second"]
    path = [part.strip("{}") for part in event_hubs.CAPTURE_PATH.split("/")]
    assert sorted(path) == sorted(parts)
    assert path[:3] == ["Year", "Month", "Day"]


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid", "house"])
def test_a_namespace_is_closed_and_takes_identities_only(request, platform):
    (namespace,) = request.getfixturevalue(platform).of_type(NAMESPACE)
    assert namespace.inputs["publicNetworkAccess"] == "Disabled"
    assert namespace.inputs["disableLocalAuth"] is True
    assert namespace.inputs["minimumTlsVersion"] == "1.2"
    assert namespace.inputs["zoneRedundant"] is True
    assert namespace.inputs["sku"] == {"name": "Premium", "tier": "Premium", "capacity": 1}


def test_a_namespace_is_encrypted_with_the_key(streaming, named, identity, waits_for):
    (namespace,) = streaming.of_type(NAMESPACE)
    vault = named(streaming, "azure-native:keyvault:Vault", f"vault-{streaming.platform.context.token}")
    key = named(streaming, "azure-native:keyvault:Key", "fraud-detection-key")
    assert namespace.inputs["encryption"] == {
        "keySource": "Microsoft.KeyVault",
        "requireInfrastructureEncryption": True,
        "keyVaultProperties": [
            {
                "keyName": key.id.rpartition("/")[2],
                "keyVaultUri": f"https://{vault.id.rpartition('/')[2]}.vault.azure.net/",
                "identity": {"userAssignedIdentity": identity(streaming, "encryption")},
            }
        ],
    }
    assert "RoleAssignment use-key" in waits_for(streaming, namespace)


def test_a_namespace_takes_a_key_that_is_brought_along(house):
    (namespace,) = house.of_type(NAMESPACE)
    (properties,) = namespace.inputs["encryption"]["keyVaultProperties"]
    assert (properties["keyName"], properties["keyVaultUri"]) == ("data", "https://house-keys.vault.azure.net")


def test_a_namespace_acts_under_the_identity_that_captures_where_there_is_a_stream(streaming, batch, house, identity):
    def identities(built) -> list[str]:
        (namespace,) = built.of_type(NAMESPACE)
        assert namespace.inputs["identity"]["type"] == "UserAssigned"
        return namespace.inputs["identity"]["userAssignedIdentities"]

    assert identities(streaming) == [identity(streaming, "encryption"), identity(streaming, "ingest")]
    assert identities(batch) == [identity(batch, "encryption")]
    assert identities(house)[1].endswith("/house-ingest")


@pytest.mark.parametrize("part", ["events", "dead-letters"])
def test_events_are_captured_to_the_raw_zone_under_the_identity_that_ingests(
    streaming, named, identity, waits_for, part
):
    hub = named(streaming, HUB, f"fraud-detection-{part}")
    capture = hub.inputs["captureDescription"]
    assert capture["enabled"] is True
    assert capture["encoding"] == "Avro"
    assert capture["skipEmptyArchives"] is True
    destination = capture["destination"]
    lake = named(streaming, "azure-native:storage:StorageAccount", "fraud-detection-lake")
    assert destination["storageAccountResourceId"] == lake.id
    assert destination["blobContainer"] == "raw"
    # A folder of its own, so that the catalogued events hold no dead letters.
    assert destination["archiveNameFormat"].startswith(f"{part}/{{Year}}/{{Month}}/{{Day}}/")
    assert destination["identity"] == {"type": "UserAssigned", "userAssignedIdentity": identity(streaming, "ingest")}
    assert "RoleAssignment ingest-raw" in waits_for(streaming, hub)


@pytest.mark.parametrize("part", ["events", "dead-letters"])
def test_events_are_captured_under_an_identity_that_is_brought_along(house, named, part):
    hub = named(house, HUB, f"fraud-detection-{part}").inputs
    assert hub["captureDescription"]["destination"]["identity"]["userAssignedIdentity"].endswith("/house-ingest")


@pytest.mark.parametrize("part", ["events", "dead-letters"])
def test_events_can_be_replayed_for_a_week(streaming, named, part):
    hub = named(streaming, HUB, f"fraud-detection-{part}").inputs
    assert hub["retentionDescription"] == {"cleanupPolicy": "Delete", "retentionTimeInHours": 7 * 24}


@pytest.mark.parametrize(("platform", "partitions"), [("streaming", 8), ("hybrid", 4)])
def test_a_stream_has_partitions_for_the_workloads_events_and_readers(request, named, platform, partitions):
    built = request.getfixturevalue(platform)
    hub = named(built, HUB, f"{built.platform.context.name}-events").inputs
    assert hub["partitionCount"] == partitions
    assert hub["eventHubName"] == "events"
