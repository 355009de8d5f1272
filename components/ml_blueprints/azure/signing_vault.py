"""The vault of the key that signs models: whoever owns the key puts it there, and training alone reads it."""

import pulumi

from ml_blueprints.azure import facts
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose

# What is called so in the vault is put there by the key's owner: an Ed25519 key in PEM.
NAME = "model-signing"


class SigningVault(pulumi.ComponentResource):
    """A vault for one secret, which no stack ever holds.

    `vault`: the resource. `reference`: by what steps are told of the key. `readers`: the grant of its reader, which
    what reads waits for.
    """

    def __init__(self, context: Context, foundation: Foundation, opts: pulumi.ResourceOptions | None = None):
        super().__init__("ml-blueprints:azure:SigningVault", context.logical("signing"), None, opts)
        self.vault = foundation.private_vault("signing", pulumi.ResourceOptions(parent=self))
        self.readers = foundation.grant(Purpose.TRAINING, "signing", facts.ROLE_VAULT_READER, self.vault.id)
        # A preview has the properties that were given, and no address among them: the id comes with the address.
        self.reference = pulumi.Output.all(self.vault.id, self.vault.properties.vault_uri).apply(
            lambda made: f"azure-secret:{made[1]}secrets/{NAME}"
        )
        self.register_outputs({"vaultId": self.vault.id})
