"""Lake Formation on AWS: who may read the catalogued events by the catalog's own grants, not by rights on files."""

from collections.abc import Iterable
from typing import Any

import pulumi
from pulumi_aws import glue, iam, lakeformation, s3

from ml_blueprints.aws import policy
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose


class GovernedTable(pulumi.ComponentResource):
    """A table whose files are registered, and the identities that read it under Lake Formation.

    Whoever isn't named here is let in by IAM as before (hybrid access). Whoever deploys must be an administrator of the
    data lake. https://docs.aws.amazon.com/lake-formation/latest/dg/hybrid-access-mode.html

    `role` is the identity under which Lake Formation reads the files; `location` their registration; `permissions` and
    `opt_ins` are kept by purpose.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        bucket: s3.Bucket,
        table: glue.CatalogTable,
        readers: Iterable[Purpose],
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:aws:GovernedTable", context.logical("governed"), None, opts)
        self.context, self.foundation, self.bucket, self.table = context, foundation, bucket, table
        self.permissions: dict[Purpose, lakeformation.Permissions] = {}
        self.opt_ins: dict[Purpose, lakeformation.OptIn] = {}
        self._location()
        for purpose in readers:
            self._reader(purpose)
        self.register_outputs({"roleArn": self.role.arn})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _location(self) -> None:
        """A role of ours, since EMR can't read what is registered with Lake Formation's own role, nor has that our key.

        https://docs.aws.amazon.com/lake-formation/latest/dg/registration-role.html
        """
        context, foundation = self.context, self.foundation
        self.role = iam.Role(
            context.logical("lake-formation"),
            description=f"{context.name}: reads catalogued events for those who may",
            assume_role_policy=policy.trust(["glue.amazonaws.com", "lakeformation.amazonaws.com"], foundation.account),
            permissions_boundary=foundation.boundary.arn,
            max_session_duration=3600,
            tags=context.tags,
            opts=self._child(),
        )
        rights = iam.RolePolicy(
            context.logical("lake-formation"),
            role=self.role.name,
            policy=policy.document(
                policy.allow(["s3:ListBucket"], [self.bucket.arn]),
                policy.allow(["s3:GetObject"], [pulumi.Output.concat(self.bucket.arn, "/*")]),
                policy.allow(["kms:Decrypt"], [foundation.key]),
            ),
            opts=self._child(),
        )
        self.location = lakeformation.Resource(
            context.logical("raw"),
            arn=self.bucket.arn,
            role_arn=self.role.arn,
            hybrid_access_enabled=True,
            # A place is registered once.
            opts=self._child(depends_on=[rights], delete_before_replace=True),
        )

    def _reader(self, purpose: Purpose) -> None:
        """A grant counts once its identity has opted in to being held to it."""
        name, identity = self.context.logical(f"{purpose}-raw"), self.foundation.identities[purpose]
        self.permissions[purpose] = lakeformation.Permissions(
            name,
            principal=identity,
            permissions=["DESCRIBE", "SELECT"],
            table=lakeformation.PermissionsTableArgs(database_name=self.table.database_name, name=self.table.name),
            opts=self._child(depends_on=[self.location]),
        )
        self.opt_ins[purpose] = lakeformation.OptIn(
            name,
            principals=[lakeformation.OptInPrincipalArgs(data_lake_principal_identifier=identity)],
            resource_datas=[
                lakeformation.OptInResourceDataArgs(
                    table=lakeformation.OptInResourceDataTableArgs(
                        database_name=self.table.database_name, name=self.table.name
                    )
                )
            ],
            opts=self._child(depends_on=[self.permissions[purpose]]),
        )
