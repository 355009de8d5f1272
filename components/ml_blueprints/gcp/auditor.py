"""Who compares, at night, what is there with the states of stacks: it sees how things are set up, and no data."""

from typing import Any

import pulumi
from pulumi_gcp import iam, kms, serviceaccount, storage

from ml_blueprints.gcp import facts
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
        self._federation()
        self._account()
        self.register_outputs({"account": self.account.email})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _federation(self) -> None:
        context, delivery = self.context, self.context.settings.delivery
        claim = facts.OIDC_REPOSITORY_CLAIMS[delivery.provider]
        condition = facts.OIDC_AUDIT_CONDITIONS[delivery.provider]
        self.pool = iam.WorkloadIdentityPool(
            context.logical("audit"),
            workload_identity_pool_id=f"audit-{context.token}",
            display_name=f"{context.name[:26]} audit",
            description=f"Workflows that compare {context.workload.name} with its state",
            opts=self._child(depends_on=list(self.foundation.ready)),
        )
        self.issuer_provider = iam.WorkloadIdentityPoolProvider(
            context.logical("audit"),
            workload_identity_pool_id=self.pool.workload_identity_pool_id,
            workload_identity_pool_provider_id=delivery.provider,
            description=f"Tokens of {delivery.repository}",
            oidc=iam.WorkloadIdentityPoolProviderOidcArgs(issuer_uri=facts.OIDC_ISSUERS[delivery.provider]),
            attribute_mapping={"google.subject": "assertion.sub", "attribute.repository": f"assertion.{claim}"},
            attribute_condition=(
                f"assertion.{claim} == '{delivery.repository}' && "
                f"{condition.format(environment=context.settings.environment)}"
            ),
            opts=self._child(),
        )

    def _account(self) -> None:
        context, foundation, delivery = self.context, self.foundation, self.context.settings.delivery
        self.account = serviceaccount.Account(
            context.logical("auditor"),
            account_id=f"audit-{context.token}",
            display_name=f"{context.name}: auditor",
            description=f"Workflows of {delivery.repository} compare {context.name} with its state",
            opts=self._child(depends_on=list(foundation.ready)),
        )
        serviceaccount.IAMMember(
            context.logical("auditor"),
            service_account_id=self.account.name,
            role=facts.ROLE_FEDERATED,
            member=pulumi.Output.concat(
                "principalSet://iam.googleapis.com/", self.pool.name, f"/attribute.repository/{delivery.repository}"
            ),
            condition=foundation.until(serviceaccount.IAMMemberConditionArgs),
            opts=self._child(),
        )
        sees = sorted({*facts.LIST_PERMISSIONS, *(one for seen in facts.GET_PERMISSIONS.values() for one in seen)})
        foundation.grant_on_project("auditor", "auditor", sees, self.account.member)

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
