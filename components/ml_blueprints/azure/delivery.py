"""The delivery layer on Azure: who may deploy and who may look, as workflows of one repository alone, and states."""

from collections.abc import Mapping

import pulumi
from pulumi_azure_native import managedidentity

from ml_blueprints import layers
from ml_blueprints.azure import facts
from ml_blueprints.azure.development import Development
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.layer import AzureLayer
from ml_blueprints.azure.state_backend import StateBackend
from ml_blueprints.layers import Context

# The environment whose workflows may look at what an environment has is called so after it.
AUDIT = "audit"


class Delivery(AzureLayer, layers.Delivery):
    """Deployment by Git on Azure.

    Native resources: `deploy_identity`, `credential`, `grants`, `audit_identity`, `state` (with `account` and `key`).

    `deployer` and `auditor` are the client ids of the identities, which is what a workflow signs in with.
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
        environment = context.settings.environment
        self.deploy_identity, self.credential = self._trusting("deployer", environment)
        self.audit_identity, _ = self._trusting("auditor", f"{environment}-{AUDIT}")
        self.realise("federated-deployment", self.credential)
        self._rights()
        self._state()
        self.give(
            deployer=self.deploy_identity.client_id,
            auditor=self.audit_identity.client_id,
            issuer=facts.OIDC_ISSUERS[context.settings.delivery.provider],
            state_url=self.state.url,
            secrets_provider=self.state.secrets_provider,
        )

    def _trusting(
        self, part: str, environment: str
    ) -> tuple[managedidentity.UserAssignedIdentity, managedidentity.FederatedIdentityCredential]:
        """An identity of the platform's own, which takes the tokens of one subject."""
        context, foundation, delivery = self.context, self.foundation, self.context.settings.delivery
        identity = managedidentity.UserAssignedIdentity(
            context.logical(part),
            resource_group_name=foundation.group,
            location=foundation.location,
            tags=context.tags,
            opts=self.child(),
        )
        return identity, managedidentity.FederatedIdentityCredential(
            context.logical(part),
            resource_group_name=foundation.group,
            resource_name_=identity.name,
            federated_identity_credential_resource_name=delivery.provider,
            issuer=facts.OIDC_ISSUERS[delivery.provider],
            audiences=[facts.OIDC_AUDIENCE],
            subject=facts.OIDC_SUBJECTS[delivery.provider].format(
                repository=delivery.repository, environment=environment
            ),
            opts=pulumi.ResourceOptions(parent=identity),
        )

    def _rights(self) -> None:
        """A deployment pushes images, publishes pipelines and models, starts runs, and shares models to be taken on.

        An auditor reads what the platform's resource group has, and no data.
        """
        foundation, development = self.foundation, self.development
        deploys = foundation.role("deploy", "deploy", facts.DEPLOY_ACTIONS)
        scopes: dict[str, tuple[pulumi.Input[str], pulumi.Input[str]]] = {
            "images": (development.registry_account.id, facts.ROLE_IMAGE_PUSH),
            "workspace": (development.workspace.id, deploys),
        }
        if development.promotion:
            shares = foundation.role("share", "share models", facts.SHARE_ACTIONS)
            scopes["promotion"] = (development.promotion.registry.id, shares)
        self.grants = self._granted("deployer", self.deploy_identity, scopes)
        self._granted("auditor", self.audit_identity, {"group": (foundation.resource_group.id, facts.ROLE_READER)})

    def _granted(
        self,
        part: str,
        identity: managedidentity.UserAssignedIdentity,
        scopes: Mapping[str, tuple[pulumi.Input[str], pulumi.Input[str]]],
    ) -> list[pulumi.Resource]:
        return [
            self.foundation.assign(f"{part}-{name}", identity.principal_id, role, scope, self.child())
            for name, (scope, role) in scopes.items()
        ]

    def _state(self) -> None:
        """The deployer reads and writes states; the auditor, who compares them with what is there, reads them."""
        self.state = StateBackend(self.context, self.foundation, opts=self.child())
        self.state.let_write("deployer", self.deploy_identity.principal_id)
        self.state.let_read("auditor", self.audit_identity.principal_id)
        self.realise("state-backend", self.state.container)
