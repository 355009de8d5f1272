"""The way of models into the next environment: a registry, from which those who take them on may read."""

import pulumi
from pulumi_azure_native import authorization, machinelearningservices

from ml_blueprints.azure import facts
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.workspace import Workspace
from ml_blueprints.layers import Context


class PromotionRegistry(pulumi.ComponentResource):
    """A registry of Azure Machine Learning, which the workspace reaches by a private endpoint.

    Its images and files lie in accounts that the service makes and encrypts with keys of its own: a registry takes no
    key of the customer's. `registry`: the resource. `readers`: who may take models on.
    https://learn.microsoft.com/azure/machine-learning/how-to-manage-registries
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        workspace: Workspace,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:azure:PromotionRegistry", context.logical("promotion"), None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.registry = machinelearningservices.Registry(
            context.logical("promotion"),
            # Unique in the tenant, at most 33 characters.
            registry_name=f"promotion-{context.token}",
            resource_group_name=foundation.group,
            location=foundation.location,
            identity=machinelearningservices.ManagedServiceIdentityArgs(
                type=machinelearningservices.ManagedServiceIdentityType.SYSTEM_ASSIGNED
            ),
            public_network_access="Disabled",
            region_details=[
                machinelearningservices.RegistryRegionArmDetailsArgs(
                    location=foundation.location,
                    acr_details=[
                        machinelearningservices.AcrDetailsArgs(
                            system_created_acr_account=machinelearningservices.SystemCreatedAcrAccountArgs(
                                acr_account_sku="Premium"
                            )
                        )
                    ],
                    storage_account_details=[
                        machinelearningservices.StorageAccountDetailsArgs(
                            system_created_storage_account=machinelearningservices.SystemCreatedStorageAccountArgs(
                                storage_account_type="Standard_ZRS",
                                storage_account_hns_enabled=False,
                                allow_blob_public_access=False,
                            )
                        )
                    ],
                )
            ],
            tags=context.tags,
            opts=child,
        )
        foundation.private_endpoint("promotion", self.registry.id, "amlregistry")
        foundation.keep_logs("promotion", self.registry)
        workspace.reach("promotion", self.registry.id, "amlregistry")
        takes = foundation.role("promote", "take models on", facts.PROMOTION_ACTIONS)
        self.readers = [
            foundation.assign(
                f"promotes-{number}",
                reader,
                takes,
                self.registry.id,
                child,
                authorization.PrincipalType.SERVICE_PRINCIPAL,
            )
            for number, reader in enumerate(context.settings.promotes_to)
        ]
        self.register_outputs({"registryId": self.registry.id})
