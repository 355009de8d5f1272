"""Where the states of stacks are kept on Azure: a container of its own account, and a key for their secrets."""

import pulumi
from pulumi_azure_native import keyvault, storage

from ml_blueprints.azure import deploy_rights, facts
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.storage_account import delete_versions_after, private_account
from ml_blueprints.layers import Context

STATE = "state"


class StateBackend(pulumi.ComponentResource):
    """`account` with its `container`, `vault` with its `key`; `url` and `secrets_provider`, as Pulumi takes them.

    The key isn't the one of data at rest: services wrap keys with that, and Pulumi encrypts. A state names the version
    that encrypted its own key, so that no version expires; `pulumi stack change-secrets-provider` goes to the newest.
    https://www.pulumi.com/docs/iac/concepts/secrets/#azure-key-vault
    """

    def __init__(self, context: Context, foundation: Foundation, opts: pulumi.ResourceOptions | None = None):
        super().__init__("ml-blueprints:azure:StateBackend", context.logical(STATE), None, opts)
        self.context, self.foundation = context, foundation
        self._container()
        self._key()
        self.register_outputs({"containerId": self.container.id})

    def let_write(self, part: str, principal: pulumi.Input[str]) -> None:
        """Let a principal (its object id) read and write states; of an experiment, until it is over."""
        use = self.foundation.role("encrypt-states", "encrypt states", [], facts.ENCRYPT_ACTIONS)
        experiment = self.context.settings.experiment
        until = deploy_rights.until(experiment.expires_on) if experiment else None
        self._let(part, principal, facts.ROLE_BLOB_WRITER, use, until)

    def let_read(self, part: str, principal: pulumi.Input[str]) -> None:
        """Let a principal (its object id) read states, with their secrets."""
        use = self.foundation.role("decrypt-states", "decrypt states", [], facts.DECRYPT_ACTIONS)
        self._let(part, principal, facts.ROLE_BLOB_READER, use)

    def _let(
        self,
        part: str,
        principal: pulumi.Input[str],
        blobs: str,
        use: pulumi.Output[str],
        condition: str | None = None,
    ) -> None:
        own = pulumi.ResourceOptions(parent=self)
        self.foundation.assign(f"{part}-states", principal, blobs, self.container.id, own, condition=condition)
        self.foundation.assign(f"{part}-state-key", principal, use, self.key.id, own)

    def _container(self) -> None:
        context, foundation = self.context, self.foundation
        self.account, _ = private_account(
            context,
            STATE,
            foundation.group,
            foundation.location,
            foundation.encryption,
            foundation.log_workspace.id,
            hierarchical=False,
            opts=pulumi.ResourceOptions(parent=self, depends_on=foundation.ready),
            versions=True,
        )
        delete_versions_after(context, STATE, foundation.group, self.account, facts.STATE_VERSIONS_DAYS)
        foundation.private_endpoint("state-blob", self.account.id, "blob")
        self.container = storage.BlobContainer(
            context.logical(STATE),
            resource_group_name=foundation.group,
            account_name=self.account.name,
            container_name=STATE,
            public_access=storage.PublicAccess.NONE,
            opts=pulumi.ResourceOptions(parent=self.account),
        )
        self.url = pulumi.Output.concat("azblob://", self.container.name, "?storage_account=", self.account.name)

    def _key(self) -> None:
        context, foundation = self.context, self.foundation
        self.vault = foundation.private_vault(STATE, pulumi.ResourceOptions(parent=self))
        rotation = f"P{context.settings.encryption.rotation_days}D"
        self.key = keyvault.Key(
            context.logical("state-key"),
            resource_group_name=foundation.group,
            vault_name=self.vault.name,
            properties=keyvault.KeyPropertiesArgs(
                kty=keyvault.JsonWebKeyType.RSA,
                key_size=3072,
                key_ops=[keyvault.JsonWebKeyOperation.ENCRYPT, keyvault.JsonWebKeyOperation.DECRYPT],
                rotation_policy=keyvault.RotationPolicyArgs(
                    lifetime_actions=[
                        keyvault.LifetimeActionArgs(
                            action=keyvault.ActionArgs(type=keyvault.KeyRotationPolicyActionType.ROTATE),
                            trigger=keyvault.TriggerArgs(time_after_create=rotation),
                        )
                    ]
                ),
            ),
            tags=context.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.secrets_provider = self.key.key_uri_with_version.apply(
            lambda uri: uri.replace("https://", "azurekeyvault://", 1)
        )
