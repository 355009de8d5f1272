"""The delivery layer on Google Cloud: an account that workflows of one repository bring the stack up as, and states."""

import pulumi
from pulumi_gcp import artifactregistry, kms, serviceaccount, storage

from ml_blueprints import layers
from ml_blueprints.gcp import buckets, deploy_rights, facts
from ml_blueprints.gcp.auditor import Auditor
from ml_blueprints.gcp.development import Development
from ml_blueprints.gcp.federated_account import federated_account
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context

# Days for which a state that was written over can be had back.
STATE_VERSIONS_DAYS = 90


class Delivery(layers.Delivery):
    """Deployment by Git on Google Cloud.

    Native resources: `pool`, `issuer_provider`, `deploy_account`, its roles `deploy_role` and `named_role`; `audit`
    with its own; `state`. `deployer` and `auditor` are the accounts' addresses.
    """

    cloud = "gcp"

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        development: Development,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__(context, opts)
        self.foundation, self.development = foundation, development
        self._deploy_account()
        self._deploy_rights()
        self.audit = Auditor(context, foundation, opts=self.child())
        self.audit.let_read("auditor-code", development.data.lake.code)
        self._state()
        self.give(
            deployer=self.deploy_account.email,
            auditor=self.audit.account.email,
            issuer=facts.OIDC_ISSUERS[context.settings.delivery.provider],
            state_url=self.state.url,
            secrets_provider=pulumi.Output.concat("gcpkms://", foundation.key),
        )

    def _deploy_account(self) -> None:
        context, foundation = self.context, self.foundation
        environment = context.settings.environment
        self.pool, self.issuer_provider, self.deploy_account = federated_account(
            context,
            foundation,
            part="deploy",
            who="deployer",
            title=context.name[:32],
            condition=facts.OIDC_CONDITIONS[context.settings.delivery.provider].format(environment=environment),
            task=f"deploy {context.name} to {environment}",
            opts=self.child(),
            until=foundation.until(serviceaccount.IAMMemberConditionArgs),
        )
        self.realise("federated-deployment", self.issuer_provider)

    def _deploy_rights(self) -> None:
        """It brings the stack up, and may change neither identities nor grants: these are an administrator's."""
        context, foundation, development = self.context, self.foundation, self.development
        member = self.deploy_account.member
        self.deploy_role = foundation.role("deployer", "deployer", deploy_rights.anywhere(), self)
        foundation.grant_role("deployer", self.deploy_role, member)
        self.named_role = foundation.role("deployer-named", "deployer, by name", deploy_rights.named(), self)
        named = pulumi.Output.all(foundation.project, foundation.project_number).apply(
            lambda of: deploy_rights.names(
                deploy_rights.prefixes(*of, region=foundation.region, name=context.name, token=context.token)
            )
        )
        foundation.grant_role("deployer-named", self.named_role, member, named)
        self.realise("stack-deployment", self.deploy_role, self.named_role)
        uploads = {"deployer": development.repository, "deployer-pipelines": development.pipeline_repository}
        for part, repository in uploads.items():
            artifactregistry.RepositoryIamMember(
                context.logical(part),
                repository=repository.repository_id,
                location=foundation.region,
                role=facts.ROLE_ARTIFACT_WRITER,
                member=member,
                opts=self.child(),
            )
        # Definitions of pipelines and code of jobs are objects that stacks own.
        storage.BucketIAMMember(
            context.logical("deployer-code"),
            bucket=development.data.lake.code.name,
            role=facts.ROLE_OBJECT_WRITER,
            member=member,
            condition=foundation.until(storage.BucketIAMMemberConditionArgs),
            opts=self.child(),
        )
        # What is made or changed must be allowed to run as its identity, and as no other of the project.
        for part, account in foundation.accounts.items():
            serviceaccount.IAMMember(
                context.logical(f"deployer-as-{part}"),
                service_account_id=account.name,
                role=facts.ROLE_ACT_AS,
                member=member,
                condition=foundation.until(serviceaccount.IAMMemberConditionArgs),
                opts=self.child(),
            )

    def _state(self) -> None:
        """Where the states of stacks can be kept: the deployer alone writes them, and the auditor reads them.

        A key of the organisation's is its owner's to let be used.
        """
        context, foundation, lake = self.context, self.foundation, self.development.data.lake
        self.state = buckets.bucket(
            "state",
            context,
            foundation,
            [],
            self.child(depends_on=[lake.may_log]),
            lake.logging("state"),
            STATE_VERSIONS_DAYS,
        )
        storage.BucketIAMMember(
            context.logical("state"),
            bucket=self.state.name,
            role=facts.ROLE_OBJECT_WRITER,
            member=self.deploy_account.member,
            opts=self.child(),
        )
        self.audit.let_read("auditor-state", self.state)
        self.audit.let_lock("auditor-locks", self.state)
        if context.settings.encryption.existing_key is None:
            self.audit.let_decrypt("key-auditor")
            kms.CryptoKeyIAMMember(
                context.logical("key-deployer"),
                crypto_key_id=foundation.key,
                role=facts.ROLE_KEY_USER,
                member=self.deploy_account.member,
                opts=self.child(),
            )
        self.realise("state-backend", self.state)
