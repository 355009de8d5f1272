"""The feature layer on Azure: the feature store, its offline store, its entity, and the latest values in Redis."""

import pytest
from ml_blueprints.azure.features import index_type

CLUSTER = "azure-native:redisenterprise:RedisEnterprise"
DATABASE = "azure-native:redisenterprise:Database"
READER = "azure-native:redisenterprise:AccessPolicyAssignment"
ENTITY = "azure-native:machinelearningservices:FeaturestoreEntityVersion"
ML = "azure-native:machinelearningservices"


@pytest.mark.parametrize(
    ("avro", "type_"),
    [
        ("string", "String"),
        ("int", "Integer"),
        ("long", "Long"),
        ("double", "String"),
        ("bytes", "String"),
        (["null", "long"], "Long"),
        (["int", "null"], "Integer"),
        (["null", {"type": "long", "logicalType": "timestamp-millis"}], "Long"),
        ({"type": "string", "logicalType": "uuid"}, "String"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "String"),
    ],
)
def test_an_entitys_column_has_the_type_of_the_contract(avro, type_):
    record = {"fields": [{"name": "before", "type": "boolean"}, {"name": "entity", "type": avro}]}
    assert index_type(record, "entity") == type_


def test_features_are_kept_in_the_features_zone_under_an_identity_that_does_nothing_else(
    streaming, named, identity, granted, by_id
):
    (connection,) = streaming.of_type(f"{ML}:WorkspaceConnection")
    properties = connection.inputs["properties"]
    assert (properties["authType"], properties["category"]) == ("ManagedIdentity", "ADLSGen2")
    assert by_id(streaming, properties["target"]) == "BlobContainer features"
    assert properties["credentials"]["resourceId"] == identity(streaming, "materialization")
    # https://learn.microsoft.com/azure/machine-learning/how-to-setup-access-control-feature-store
    assert granted(streaming, "materialization") == {
        ("Storage Blob Data Reader", "BlobContainer raw"),
        ("Storage Blob Data Contributor", "BlobContainer features"),
        ("AzureML Data Scientist", "Workspace features"),
    }


def test_the_store_knows_the_connection_by_its_name(streaming, named):
    (connection,) = streaming.of_type(f"{ML}:WorkspaceConnection")
    store = named(streaming, f"{ML}:Workspace", f"features-{streaming.platform.context.token}")
    assert connection.inputs["workspaceName"] == store.id.rpartition("/")[2]
    settings = store.inputs["featureStoreSettings"]
    assert settings["offlineStoreConnectionName"] == connection.inputs["connectionName"]
    # https://learn.microsoft.com/azure/machine-learning/reference-yaml-feature-store: the one version that it takes.
    assert settings["computeRuntime"] == {"sparkRuntimeVersion": "3.4"}


@pytest.mark.parametrize(
    ("platform", "entity"),
    [("streaming", "card_id"), ("batch", "application_id"), ("hybrid", "restaurant_id")],
)
def test_the_entity_is_found_by_its_column(request, platform, entity):
    (version,) = request.getfixturevalue(platform).of_type(ENTITY)
    assert (version.inputs["name"], version.inputs["version"]) == (entity, "1")
    assert version.inputs["properties"]["indexColumns"] == [{"columnName": entity, "dataType": "String"}]
    assert version.inputs["properties"]["stage"] == "Production"


def test_the_feature_set_has_each_definition_and_waits_for_its_entity(streaming, waits_for):
    (found,) = streaming.of_type(f"{ML}:FeaturesetContainerEntity")
    assert found.inputs["name"] == "card_activity"
    assert found.inputs["properties"]["properties"] == {
        "transactions_1h": "integer",
        "amount_1h": "float",
        "largest_amount_1h": "float",
        "merchants_24h": "integer",
        "seconds_since_last": "float",
        "abroad_share_24h": "float",
    }
    assert "FeaturestoreEntityVersion entity" in waits_for(streaming, found)


def test_entity_and_feature_set_lie_in_the_feature_store(streaming, named):
    store = named(streaming, f"{ML}:Workspace", f"features-{streaming.platform.context.token}").id.rpartition("/")[2]
    for kind in ("FeaturestoreEntityContainerEntity", "FeaturestoreEntityVersion", "FeaturesetContainerEntity"):
        (found,) = streaming.of_type(f"{ML}:{kind}")
        assert found.inputs["workspaceName"] == store


def test_the_latest_values_are_served_privately_and_survive_a_node(streaming):
    (cluster,) = streaming.of_type(CLUSTER)
    assert cluster.inputs["publicNetworkAccess"] == "Disabled"
    assert cluster.inputs["minimumTlsVersion"] == "1.2"
    assert cluster.inputs["highAvailability"] == "Enabled"


@pytest.mark.parametrize("platform", ["streaming", "house"])
def test_the_latest_values_are_encrypted_with_a_version_of_the_key(request, identity, waits_for, platform):
    built = request.getfixturevalue(platform)
    (cluster,) = built.of_type(CLUSTER)
    encryption = cluster.inputs["encryption"]["customerManagedKeyEncryption"]
    if platform == "house":
        assert encryption["keyEncryptionKeyUrl"] == "https://house-keys.vault.azure.net/keys/data/0123456789abcdef"
    else:
        (key,) = built.of_type("azure-native:keyvault:Key")
        assert f"/keys/{key.id.rpartition('/')[2]}/" in encryption["keyEncryptionKeyUrl"]
    user = identity(built, "encryption")
    assert encryption["keyEncryptionKeyIdentity"] == {
        "identityType": "userAssignedIdentity",
        "userAssignedIdentityResourceId": user,
    }
    assert cluster.inputs["identity"]["userAssignedIdentities"] == [user]
    assert "RoleAssignment use-key" in waits_for(built, cluster)


def test_the_latest_values_are_reached_by_tls_and_identities_only(streaming):
    (database,) = streaming.of_type(DATABASE)
    (cluster,) = streaming.of_type(CLUSTER)
    assert database.parent == cluster.urn
    assert database.inputs["clusterName"] == cluster.id.rpartition("/")[2]
    assert database.inputs["clientProtocol"] == "Encrypted"
    assert database.inputs["accessKeysAuthentication"] == "Disabled"
    assert database.inputs["evictionPolicy"] == "VolatileTTL"
    assert database.inputs["port"] == 10000


@pytest.mark.parametrize("platform", ["streaming", "hybrid"])
def test_only_ingest_and_serving_come_to_the_latest_values(request, platform, named):
    built = request.getfixturevalue(platform)
    name = built.platform.context.name
    readers = {reader.name.removeprefix(f"{name}-"): reader.inputs for reader in built.of_type(READER)}
    assert set(readers) == {"ingest-online", "serving-online"}
    (cluster,) = built.of_type(CLUSTER)
    for part, reader in readers.items():
        purpose = part.removesuffix("-online")
        assert (reader["accessPolicyAssignmentName"], reader["accessPolicyName"]) == (purpose, "default")
        assert (reader["clusterName"], reader["databaseName"]) == (cluster.id.rpartition("/")[2], "default")
        zone = named(built, "azure-native:authorization:RoleAssignment", f"{name}-{purpose}-features")
        assert reader["user"] == {"objectId": zone.inputs["principalId"]}


def test_identities_that_are_brought_along_are_their_owners_to_let_in(house):
    assert house.of_type(DATABASE)
    assert not house.of_type(READER)


def test_batch_keeps_features_but_serves_none(batch):
    assert batch.of_type(ENTITY)
    for token in (CLUSTER, DATABASE, READER):
        assert not batch.of_type(token)
    assert batch.platform.features.online is None
