"""Where container apps run: an environment in the platform's network, without a way in from outside of it."""

import pulumi
from pulumi_azure_native import app

from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.layers import Context


class AppEnvironment(pulumi.ComponentResource):
    """The environment of all container apps of a platform, in the subnet that is delegated to it.

    environment: the resource. Apps whose ingress is external are found in the network as `<app>.<default domain>`;
    nothing is found outside of it.
    """

    def __init__(self, context: Context, foundation: Foundation, opts: pulumi.ResourceOptions | None = None):
        super().__init__("ml-blueprints:azure:AppEnvironment", context.logical("apps"), None, opts)
        self.environment = app.ManagedEnvironment(
            context.logical("apps"),
            resource_group_name=foundation.group,
            location=foundation.location,
            vnet_configuration=app.VnetConfigurationArgs(
                internal=True, infrastructure_subnet_id=foundation.subnets[-1]
            ),
            public_network_access=app.PublicNetworkAccess.DISABLED,
            workload_profiles=[app.WorkloadProfileArgs(name="Consumption", workload_profile_type="Consumption")],
            zone_redundant=True,
            peer_traffic_configuration=app.ManagedEnvironmentPeerTrafficConfigurationArgs(
                encryption=app.ManagedEnvironmentEncryptionArgs(enabled=True)
            ),
            app_logs_configuration=app.AppLogsConfigurationArgs(destination="azure-monitor"),
            tags=context.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        foundation.keep_logs("apps", self.environment)
        domain, address = self.environment.default_domain, self.environment.static_ip
        foundation.network_component.resolve("apps-hosts", domain, "*", address)
        self.register_outputs({"environmentId": self.environment.id})
