"""The private network on Azure: its subnets, what goes in and out, private endpoints and their names, flow logs."""

from ipaddress import IPv4Network

import pytest
from ml_blueprints.azure import network

NETWORK = "azure-native:network:VirtualNetwork"
SUBNET = "azure-native:network:Subnet"
GROUP = "azure-native:network:NetworkSecurityGroup"
ENDPOINT = "azure-native:network:PrivateEndpoint"
ZONE_GROUP = "azure-native:network:PrivateDnsZoneGroup"
ZONE = "azure-native:privatedns:PrivateZone"
LINK = "azure-native:privatedns:VirtualNetworkLink"
OURS = ["streaming", "batch", "hybrid", "other"]
THEIRS = ["house", "hybrid_house"]

# What each platform reaches by a private endpoint of its own: the group id of the service, and the resource.
EVERYWHERE = {
    "vault": ("vault", "Vault vault"),
    "signing": ("vault", "Vault signing"),
    "lake-blob": ("blob", "StorageAccount lake"),
    "lake-dfs": ("dfs", "StorageAccount lake"),
    "mlstore-blob": ("blob", "StorageAccount mlstore"),
    "state": ("vault", "Vault state"),
    "state-blob": ("blob", "StorageAccount state"),
    "mlstore-file": ("file", "StorageAccount mlstore"),
    "images": ("registry", "Registry images"),
    "events": ("namespace", "Namespace events"),
    "ml": ("amlworkspace", "Workspace ml"),
    "features": ("amlworkspace", "Workspace features"),
}
ONLINE = {"online": ("redisEnterprise", "RedisEnterprise online")}

# https://learn.microsoft.com/azure/private-link/private-endpoint-dns
ZONES = {
    "vault": {"privatelink.vaultcore.azure.net"},
    "blob": {"privatelink.blob.core.windows.net"},
    "dfs": {"privatelink.dfs.core.windows.net"},
    "file": {"privatelink.file.core.windows.net"},
    "registry": {"privatelink.azurecr.io"},
    "namespace": {"privatelink.servicebus.windows.net"},
    "amlworkspace": {"privatelink.api.azureml.ms", "privatelink.notebooks.azure.net"},
    "redisEnterprise": {"privatelink.redis.azure.net"},
}


def rules(group, direction: str) -> list[tuple]:
    """The rules of one direction in the order in which Azure looks at them."""
    found = [rule for rule in group.inputs["securityRules"] if rule["direction"] == direction]
    return [
        (rule["access"], rule["sourceAddressPrefix"], rule["destinationAddressPrefix"], rule["destinationPortRange"])
        for rule in sorted(found, key=lambda rule: rule["priority"])
    ]


@pytest.mark.parametrize(
    ("cidr", "endpoints", "apps", "api"),
    [
        ("10.64.0.0/16", "10.64.0.0/18", "10.64.64.0/18", "10.64.128.0/18"),
        ("10.8.0.0/20", "10.8.0.0/22", "10.8.4.0/22", "10.8.8.0/22"),
        ("192.168.4.0/22", "192.168.4.0/24", "192.168.5.0/24", "192.168.6.0/24"),
    ],
)
def test_a_range_is_divided_in_quarters_of_which_one_stays_free(cidr, endpoints, apps, api):
    assert network.plan(cidr) == network.Plan(endpoints=endpoints, apps=apps, api=api)


def test_container_apps_have_room_in_the_smallest_range():
    # https://learn.microsoft.com/azure/container-apps/custom-virtual-networks: /27 at least.
    assert IPv4Network(network.plan("10.0.0.0/22").apps).prefixlen <= 27


def test_a_range_with_host_bits_is_refused():
    with pytest.raises(ValueError, match="has host bits set"):
        network.plan("10.0.0.1/16")


@pytest.mark.parametrize(("platform", "cidr"), [("streaming", "10.64.0.0/16"), ("other", "10.8.0.0/20")])
def test_the_subnets_lie_in_the_range_of_the_settings(request, platform, cidr):
    built = request.getfixturevalue(platform)
    (whole,) = built.of_type(NETWORK)
    assert whole.inputs["addressSpace"] == {"addressPrefixes": [cidr]}
    apps, endpoints = (IPv4Network(subnet.inputs["addressPrefix"]) for subnet in built.of_type(SUBNET))
    assert apps.subnet_of(IPv4Network(cidr))
    assert endpoints.subnet_of(IPv4Network(cidr))
    assert not apps.overlaps(endpoints)


def test_subnets_are_resources_of_their_own_and_made_one_after_the_other(streaming, named, waits_for):
    (whole,) = streaming.of_type(NETWORK)
    assert whole.ignore_changes == ("subnets",)
    assert "Subnet endpoints" in waits_for(streaming, named(streaming, SUBNET, "fraud-detection-apps"))
    for subnet in streaming.of_type(SUBNET):
        assert subnet.inputs["virtualNetworkName"] == whole.id.rpartition("/")[2]


def test_no_subnet_has_a_way_out_that_nobody_asked_for(streaming):
    assert [subnet.inputs["defaultOutboundAccess"] for subnet in streaming.of_type(SUBNET)] == [False, False]
    assert not [subnet.name for subnet in streaming.of_type(SUBNET) if "natGateway" in subnet.inputs]
    assert not streaming.of_type("azure-native:network:NatGateway")
    assert not streaming.of_type("azure-native:network:PublicIPAddress")


def test_the_subnet_of_the_apps_is_theirs_alone(streaming, named):
    apps = named(streaming, SUBNET, "fraud-detection-apps").inputs
    endpoints = named(streaming, SUBNET, "fraud-detection-endpoints").inputs
    assert [delegation["serviceName"] for delegation in apps["delegations"]] == ["Microsoft.App/environments"]
    assert "delegations" not in endpoints


def test_security_groups_apply_to_private_endpoints(streaming, named):
    endpoints = named(streaming, SUBNET, "fraud-detection-endpoints").inputs
    assert endpoints["privateEndpointNetworkPolicies"] == "Enabled"


@pytest.mark.parametrize("part", ["apps", "endpoints"])
def test_nothing_comes_in_from_outside(streaming, named, part):
    group = named(streaming, GROUP, f"fraud-detection-{part}")
    assert named(streaming, SUBNET, f"fraud-detection-{part}").inputs["networkSecurityGroup"] == {"id": group.id}
    assert rules(group, "Inbound") == [
        ("Allow", "VirtualNetwork", "*", "*"),
        ("Allow", "AzureLoadBalancer", "*", "*"),
        ("Deny", "*", "*", "*"),
    ]


def test_apps_reach_what_they_run_on_by_https_and_nothing_else_of_the_internet(streaming, named):
    *allowed, last = rules(named(streaming, GROUP, "fraud-detection-apps"), "Outbound")
    assert allowed == [
        ("Allow", "*", tag, "443")
        for tag in (
            "AzureActiveDirectory",
            "AzureMonitor",
            "MicrosoftContainerRegistry",
            "AzureFrontDoor.FirstParty",
        )
    ]
    assert last == ("Deny", "*", "Internet", "*")


@pytest.mark.parametrize("platform", ["streaming", "other"])
def test_rules_of_a_group_are_told_apart_as_azure_demands(request, platform):
    for group in request.getfixturevalue(platform).of_type(GROUP):
        found = group.inputs["securityRules"]
        assert len({rule["name"] for rule in found}) == len(found)
        assert len({(rule["direction"], rule["priority"]) for rule in found}) == len(found)
        assert all(100 <= rule["priority"] <= 4096 for rule in found)


def test_the_internet_is_reached_through_nat_where_asked_for(other, named):
    (gateway,) = other.of_type("azure-native:network:NatGateway")
    (address,) = other.of_type("azure-native:network:PublicIPAddress")
    assert gateway.inputs["publicIpAddresses"] == [{"id": address.id}]
    assert gateway.inputs["sku"] == address.inputs["sku"] == {"name": "Standard"}
    assert address.inputs["publicIPAllocationMethod"] == "Static"
    assert named(other, SUBNET, "churn-apps").inputs["natGateway"] == {"id": gateway.id}
    assert "natGateway" not in named(other, SUBNET, "churn-endpoints").inputs
    apps = named(other, GROUP, "churn-apps")
    assert rules(apps, "Outbound") == []
    assert rules(apps, "Inbound")[-1] == ("Deny", "*", "*", "*")


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("streaming", EVERYWHERE | ONLINE),
        ("hybrid", EVERYWHERE | ONLINE),
        ("batch", EVERYWHERE),
        ("other", EVERYWHERE),
        ("house", EVERYWHERE | ONLINE),
        ("hybrid_house", EVERYWHERE | ONLINE),
    ],
)
def test_each_service_is_reached_by_a_private_endpoint(request, by_id, platform, expected):
    built = request.getfixturevalue(platform)
    found = {}
    for endpoint in built.of_type(ENDPOINT):
        (connection,) = endpoint.inputs["privateLinkServiceConnections"]
        (service,) = connection["groupIds"]
        part = endpoint.name.removeprefix(f"{built.platform.context.name}-")
        found[part] = (service, by_id(built, connection["privateLinkServiceId"]))
    assert found == expected


@pytest.mark.parametrize("platform", OURS)
def test_endpoints_lie_in_their_subnet_and_belong_to_the_network(request, named, platform):
    built = request.getfixturevalue(platform)
    name = built.platform.context.name
    component = named(built, "ml-blueprints:azure:Network", f"{name}-network")
    subnet = named(built, SUBNET, f"{name}-endpoints")
    for endpoint in built.of_type(ENDPOINT):
        assert endpoint.parent == component.urn
        assert endpoint.inputs["subnet"]["id"] == subnet.id


@pytest.mark.parametrize("platform", THEIRS)
def test_endpoints_lie_in_the_first_subnet_of_an_existing_network(request, platform):
    built = request.getfixturevalue(platform)
    subnets = {
        endpoint.inputs["subnet"]["id"].rpartition("/virtualNetworks/")[2] for endpoint in built.of_type(ENDPOINT)
    }
    assert subnets == {"shared/subnets/endpoints"}


@pytest.mark.parametrize("platform", OURS)
def test_the_names_of_a_service_lead_to_its_endpoint(request, platform):
    built = request.getfixturevalue(platform)
    names = {zone.id: zone.inputs["privateZoneName"] for zone in built.of_type(ZONE)}
    endpoints = built.of_type(ENDPOINT)
    groups = {group.parent: group for group in built.of_type(ZONE_GROUP)}
    assert len(groups) == len(endpoints)
    for endpoint in endpoints:
        group = groups[endpoint.urn]
        assert group.inputs["privateEndpointName"] == endpoint.id.rpartition("/")[2]
        (connection,) = endpoint.inputs["privateLinkServiceConnections"]
        zones = {names[config["privateDnsZoneId"]] for config in group.inputs["privateDnsZoneConfigs"]}
        assert zones == ZONES[connection["groupIds"][0]]


@pytest.mark.parametrize("platform", OURS)
def test_each_zone_is_made_once_and_known_in_the_network(request, platform):
    built = request.getfixturevalue(platform)
    (whole,) = built.of_type(NETWORK)
    zones = built.of_type(ZONE)
    links = {link.inputs["privateZoneName"]: link.inputs for link in built.of_type(LINK)}
    assert set(links) == {zone.inputs["privateZoneName"] for zone in zones}
    assert len(links) == len(zones)
    for link in links.values():
        assert link["virtualNetwork"] == {"id": whole.id}
        assert link["registrationEnabled"] is False


def test_flows_are_kept_for_a_year_under_an_identity_of_their_own(streaming, named, identity, granted, waits_for):
    (log,) = streaming.of_type("azure-native:network:FlowLog")
    (whole,) = streaming.of_type(NETWORK)
    assert log.inputs["targetResourceId"] == whole.id
    assert log.inputs["enabled"] is True
    assert log.inputs["retentionPolicy"] == {"days": 365, "enabled": True}
    assert (
        log.inputs["storageId"] == named(streaming, "azure-native:storage:StorageAccount", "fraud-detection-flows").id
    )
    assert log.inputs["identity"]["userAssignedIdentities"] == [identity(streaming, "flows")]
    assert granted(streaming, "flows") == {("Storage Blob Data Contributor", "StorageAccount flows")}
    assert "RoleAssignment flows" in waits_for(streaming, log)


def test_flows_are_logged_by_the_regions_watcher_and_shown_in_the_log_workspace(streaming):
    (log,) = streaming.of_type("azure-native:network:FlowLog")
    (logs,) = streaming.of_type("azure-native:operationalinsights:Workspace")
    assert log.inputs["resourceGroupName"] == "NetworkWatcherRG"
    assert log.inputs["networkWatcherName"] == "NetworkWatcher_westeurope"
    analytics = log.inputs["flowAnalyticsConfiguration"]["networkWatcherFlowAnalyticsConfiguration"]
    assert analytics["enabled"] is True
    assert analytics["workspaceResourceId"] == logs.id


@pytest.mark.parametrize("platform", THEIRS)
@pytest.mark.parametrize(
    "token",
    [NETWORK, SUBNET, GROUP, ZONE, LINK, ZONE_GROUP, "azure-native:network:FlowLog", "azure-native:network:NatGateway"],
)
def test_an_existing_network_is_left_as_it_is(request, platform, token):
    assert not request.getfixturevalue(platform).of_type(token)


def test_an_existing_network_has_its_owners_flow_logs(house):
    assert "fraud-detection-flows" not in [
        account.name for account in house.of_type("azure-native:storage:StorageAccount")
    ]
