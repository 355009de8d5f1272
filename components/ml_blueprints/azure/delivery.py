"""The delivery layer on Azure: a deploy identity that only workflows of one repository and environment may act as."""

import pulumi
from pulumi_azure_native import managedidentity

from ml_blueprints import layers
from ml_blueprints.azure import facts
from ml_blueprints.azure.development import Development
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.layer import AzureLayer
from ml_blueprints.layers import Context


class Delivery(AzureLayer, layers.Delivery):
    """Deployment by Git on Azure. Native resources: `deploy_identity`, `credential`, `grants`.

    `deployer` is the client id of the identity, which is what a workflow signs in with.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        development: Development,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__(context, opts)
        self.foundation, self.development = foundation, development
        self._federation()
        self._rights()
        self.give(
            deployer=self.deploy_identity.client_id, issuer=facts.OIDC_ISSUERS[context.settings.delivery.provider]
        )

    def _federation(self) -> None:
        """An identity of the platform's own, which takes the tokens of one subject."""
        context, foundation, delivery = self.context, self.foundation, self.context.settings.delivery
        self.deploy_identity = managedidentity.UserAssignedIdentity(
            context.logical("deployer"),
            resource_group_name=foundation.group,
            location=foundation.location,
            tags=context.tags,
            opts=self.child(),
        )
        self.credential = managedidentity.FederatedIdentityCredential(
            context.logical("deployer"),
            resource_group_name=foundation.group,
            resource_name_=self.deploy_identity.name,
            federated_identity_credential_resource_name=delivery.provider,
            issuer=facts.OIDC_ISSUERS[delivery.provider],
            audiences=[facts.OIDC_AUDIENCE],
            subject=facts.OIDC_SUBJECTS[delivery.provider].format(
                repository=delivery.repository, environment=context.settings.environment
            ),
            opts=pulumi.ResourceOptions(parent=self.deploy_identity),
        )
        self.realise("federated-deployment", self.credential)

    def _rights(self) -> None:
        """A deployment pushes images, publishes pipelines and models, starts runs, and shares models to be taken on."""
        foundation, development = self.foundation, self.development
        deploys = foundation.role("deploy", "deploy", facts.DEPLOY_ACTIONS)
        scopes = {
            "images": (development.registry_account.id, facts.ROLE_IMAGE_PUSH),
            "workspace": (development.workspace.id, deploys),
        }
        if development.promotion:
            shares = foundation.role("share", "share models", facts.SHARE_ACTIONS)
            scopes["promotion"] = (development.promotion.registry.id, shares)
        self.grants = [
            foundation.assign(f"deployer-{part}", self.deploy_identity.principal_id, role, scope, self.child())
            for part, (scope, role) in scopes.items()
        ]
