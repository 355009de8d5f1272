"""An account that workflows of one repository act as, without a key: the pool whose tokens it trusts, and itself."""

from typing import NamedTuple

import pulumi
from pulumi_gcp import iam, serviceaccount

from ml_blueprints.gcp import facts
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context


class FederatedAccount(NamedTuple):
    """What is trusted through the pool is trusted for this account, and for nothing else."""

    pool: iam.WorkloadIdentityPool
    issuer_provider: iam.WorkloadIdentityPoolProvider
    account: serviceaccount.Account


def federated_account(
    context: Context,
    foundation: Foundation,
    part: str,
    who: str,
    title: str,
    condition: str,
    task: str,
    opts: pulumi.ResourceOptions,
    until: serviceaccount.IAMMemberConditionArgs | None = None,
) -> FederatedAccount:
    """part: how ids begin, at most 21 characters; who: what the account is; title: what the pool is called.

    condition: what tokens must say besides the repository; task: what workflows do, a verb and what with; until: when
    the trust ends.
    """
    delivery = context.settings.delivery
    claim = facts.OIDC_REPOSITORY_CLAIMS[delivery.provider]
    after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(foundation.ready)))
    pool = iam.WorkloadIdentityPool(
        context.logical(part),
        # 4 to 32 lower case letters, digits and `-`.
        workload_identity_pool_id=f"{part}-{context.token}",
        display_name=title,
        description=f"Workflows that {task}",
        opts=after,
    )
    issuer_provider = iam.WorkloadIdentityPoolProvider(
        context.logical(part),
        workload_identity_pool_id=pool.workload_identity_pool_id,
        workload_identity_pool_provider_id=delivery.provider,
        description=f"Tokens of {delivery.repository}",
        oidc=iam.WorkloadIdentityPoolProviderOidcArgs(issuer_uri=facts.OIDC_ISSUERS[delivery.provider]),
        attribute_mapping={"google.subject": "assertion.sub", "attribute.repository": f"assertion.{claim}"},
        attribute_condition=f"assertion.{claim} == '{delivery.repository}' && {condition}",
        opts=opts,
    )
    account = serviceaccount.Account(
        context.logical(who),
        account_id=f"{part}-{context.token}",
        display_name=f"{context.name}: {who}",
        description=f"Workflows of {delivery.repository} {task}",
        opts=after,
    )
    serviceaccount.IAMMember(
        context.logical(who),
        service_account_id=account.name,
        role=facts.ROLE_FEDERATED,
        member=pulumi.Output.concat(
            "principalSet://iam.googleapis.com/", pool.name, f"/attribute.repository/{delivery.repository}"
        ),
        condition=until,
        opts=opts,
    )
    return FederatedAccount(pool, issuer_provider, account)
