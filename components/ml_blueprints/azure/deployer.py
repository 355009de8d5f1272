"""Who brings a whole stack up on Azure: what it may change, and which roles it may give to whom."""

from typing import Any

import pulumi
from pulumi_azure_native import authorization, managedidentity, resources

from ml_blueprints.azure import deploy_rights, facts
from ml_blueprints.azure.development import Development
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.layers import Context


class Deployer(pulumi.ComponentResource):
    """The rights of an identity that lies outside of the platform's group, where these rights don't reach.

    `role`: what it may do in the group; `grants`: every role that it has.

    It gives roles to the platform's identities alone, each only to those that have it as the administrator brought the
    stack up. Roles, trust, and its own rights are that administrator's.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        identity: managedidentity.UserAssignedIdentity,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:azure:Deployer", context.logical("deployer"), None, opts)
        self.context, self.foundation, self.identity = context, foundation, identity
        self.grants: list[authorization.RoleAssignment] = []
        # What is given from here on is the deployer's and the auditor's own.
        given = pulumi.Output.all(*foundation.granted).apply(deploy_rights.only)
        self._changes()
        self._grant("roles", facts.ROLE_ROLE_ADMINISTRATOR, foundation.resource_group.id, condition=given)
        for part, attached in foundation.own_identities.items():
            self._grant(f"attach-{part}", facts.ROLE_IDENTITY_OPERATOR, attached.id)
        self._flow_log()
        self.register_outputs({"roleId": self.role.id})

    def let_publish(self, development: Development) -> None:
        """Let it push images, and share models to be taken on."""
        self._grant("images", facts.ROLE_IMAGE_PUSH, development.registry_account.id)
        if development.promotion:
            shares = self.foundation.role("share", "share models", facts.SHARE_ACTIONS)
            self._grant("promotion", shares, development.promotion.registry.id)

    def let_look(self, group: resources.ResourceGroup) -> None:
        """Let it see how things are set up that it can't change."""
        self._grant("access", facts.ROLE_READER, group.id)

    def _changes(self) -> None:
        group = self.foundation.resource_group.id
        self.role = self.foundation.role_definition("deploy", "deploy", deploy_rights.actions(), opts=self._child())
        self._grant("group", self.role.id, group)

    def _flow_log(self) -> None:
        """The one resource that lies elsewhere, as Azure keeps the watchers of networks in a group of its own."""
        foundation, flow_log = self.foundation, self.foundation.network_component.flow_log
        if flow_log is None:
            return
        watchers = pulumi.Output.concat(
            "/subscriptions/", foundation.subscription, "/resourceGroups/", facts.WATCHER_GROUP
        )
        rights = [*deploy_rights.READS, *deploy_rights.WATCHER_RIGHTS["network:FlowLog"]]
        role = foundation.role_definition(
            "deploy-flows", "deploy flow logs", rights, beyond=[watchers], opts=self._child()
        )
        self._grant("flows", role.id, flow_log.id)

    def _grant(self, part: str, role: pulumi.Input[str], scope: pulumi.Input[str], **how: Any) -> None:
        self.grants.append(
            self.foundation.assign(f"deployer-{part}", self.identity.principal_id, role, scope, self._child(), **how)
        )

    def _child(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self)
