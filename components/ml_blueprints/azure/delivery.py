"""The delivery layer on Azure: who may deploy and who may look, as workflows of one repository alone, and states."""

import pulumi
from pulumi_azure_native import managedidentity, resources

from ml_blueprints import layers
from ml_blueprints.azure import facts
from ml_blueprints.azure.deployer import Deployer
from ml_blueprints.azure.development import Development
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.layer import AzureLayer
from ml_blueprints.azure.state_backend import StateBackend
from ml_blueprints.layers import Context

# The environment whose workflows may look at what an environment has is called so after it.
AUDIT = "audit"


class Delivery(AzureLayer, layers.Delivery):
    """Deployment by Git on Azure.

    Native resources: `access_group` (where the identities are), `deploy_identity`, `credential`, `audit_identity`,
    `deploys` (with `role` and `grants`), `state` (with `account` and `key`).

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
        # Out of reach of who may change what is in the platform's group.
        self.access_group = resources.ResourceGroup(
            context.logical("access"), location=foundation.location, tags=context.tags, opts=self.child()
        )
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
            resource_group_name=self.access_group.name,
            location=foundation.location,
            tags=context.tags,
            opts=self.child(),
        )
        return identity, managedidentity.FederatedIdentityCredential(
            context.logical(part),
            resource_group_name=self.access_group.name,
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
        """A deployment changes what the platform's group has; an auditor reads it, and no data."""
        self.deploys = Deployer(self.context, self.foundation, self.deploy_identity, opts=self.child())
        self.deploys.let_publish(self.development)
        self.deploys.let_look(self.access_group)
        self.realise("stack-deployment", self.deploys.role)
        seen = {"group": self.foundation.resource_group.id, "access": self.access_group.id}
        if flow_log := self.foundation.network_component.flow_log:
            seen["flows"] = flow_log.id
        for part, scope in seen.items():
            self.foundation.assign(
                f"auditor-{part}", self.audit_identity.principal_id, facts.ROLE_READER, scope, self.child()
            )

    def _state(self) -> None:
        """The deployer reads and writes states; the auditor, who compares them with what is there, reads them."""
        self.state = StateBackend(self.context, self.foundation, opts=self.child())
        self.state.let_write("deployer", self.deploy_identity.principal_id)
        self.state.let_read("auditor", self.audit_identity.principal_id)
        self.realise("state-backend", self.state.container)
