"""Who compares, at night, what is there with the states of stacks: it sees how things are set up, and no data."""

from typing import Any

import pulumi
from pulumi_gcp import kms, serviceaccount, storage

from ml_blueprints.gcp import facts
from ml_blueprints.gcp.federated_account import federated_account
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context

# Where Pulumi notes, below a backend's URL, that somebody works on a stack.
LOCKS = ".pulumi/locks/"


class Auditor(pulumi.ComponentResource):
    """An account for workflows in the environment `<environment>-audit`, which has a pool of its own.

    So nobody whose tokens are trusted for this one may deploy. pool, issuer_provider, account: the resources.
    """

    def __init__(self, context: Context, foundation: Foundation, opts: pulumi.ResourceOptions | None = None):
        super().__init__("ml-blueprints:gcp:Auditor", context.logical("auditor"), None, opts)
        self.context, self.foundation = context, foundation
        condition = facts.OIDC_AUDIT_CONDITIONS[context.settings.delivery.provider]
        self.pool, self.issuer_provider, self.account = federated_account(
            context,
            foundation,
            part="audit",
            who="auditor",
            title=f"{context.name[:26]} audit",
            condition=condition.format(environment=context.settings.environment),
            task=f"compare {context.name} with its state",
            opts=self._child(),
            until=foundation.until(serviceaccount.IAMMemberConditionArgs),
        )
        sees = sorted({*facts.LIST_PERMISSIONS, *(one for seen in facts.GET_PERMISSIONS.values() for one in seen)})
        foundation.grant_on_project("auditor", "auditor", sees, self.account.member)
        self.register_outputs({"account": self.account.email})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def let_read(self, part: str, bucket: storage.Bucket) -> None:
        """Let it read objects that are resources of stacks, or their states."""
        self._on_bucket(part, bucket, facts.ROLE_OBJECT_READER)

    def let_lock(self, part: str, states: storage.Bucket) -> None:
        """Let it note that it works on a stack, and write no state."""
        locks = storage.BucketIAMMemberConditionArgs(
            title="locks",
            description="Locks of stacks, and no states",
            expression=states.name.apply(
                lambda name: f'resource.name.startsWith("projects/_/buckets/{name}/objects/{LOCKS}")'
            ),
        )
        self._on_bucket(part, states, facts.ROLE_OBJECT_WRITER, locks)

    def let_decrypt(self, part: str) -> None:
        """Let it read the secrets in states."""
        kms.CryptoKeyIAMMember(
            self.context.logical(part),
            crypto_key_id=self.foundation.key,
            role=facts.ROLE_DECRYPTER,
            member=self.account.member,
            opts=self._child(),
        )

    def _on_bucket(
        self,
        part: str,
        bucket: storage.Bucket,
        role: str,
        condition: storage.BucketIAMMemberConditionArgs | None = None,
    ) -> None:
        storage.BucketIAMMember(
            self.context.logical(part),
            bucket=bucket.name,
            role=role,
            member=self.account.member,
            condition=condition,
            opts=self._child(),
        )
