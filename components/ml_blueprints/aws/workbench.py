"""The workbench on AWS: a SageMaker domain in the private network, where each person has a notebook of their own."""

from typing import Any

import pulumi
from pulumi_aws import sagemaker

from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.data import Data
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose

# Whose notebook it is that calls: the domain says so to AWS, and it holds for all that the notebook does.
# https://docs.aws.amazon.com/sagemaker/latest/dg/monitor-user-access.html
PERSON = "${aws:SourceIdentity}"

# JupyterLab is what people get; nothing else is started by a slip.
_HIDDEN_APPS = ("JupyterServer", "KernelGateway", "CodeEditor", "Canvas", "RStudioServerPro")


class Workbench(pulumi.ComponentResource):
    """`domain`; `profiles` and `spaces` by person, who come through IAM Identity Center.

    Who starts a notebook is the superuser of its container, as SageMaker has it, and of nothing beyond it.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        data: Data,
        tracking_server: pulumi.Output[str],
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:aws:Workbench", context.logical("workbench"), None, opts)
        self.context, self.foundation, self.data, self.tracking_server = context, foundation, data, tracking_server
        self._domain()
        self._people()
        self._rights()
        self.register_outputs({"domainArn": self.domain.arn})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _domain(self) -> None:
        context, foundation = self.context, self.foundation
        self.domain = sagemaker.Domain(
            context.logical("workbench"),
            domain_name=f"{context.name}-{context.token}",
            auth_mode="SSO",
            app_network_access_type="VpcOnly",
            vpc_id=foundation.network,
            subnet_ids=foundation.subnets,
            kms_key_id=foundation.key,
            tag_propagation="ENABLED",
            domain_settings=sagemaker.DomainDomainSettingsArgs(
                execution_role_identity_config="USER_PROFILE_NAME",
                docker_settings=sagemaker.DomainDomainSettingsDockerSettingsArgs(enable_docker_access="DISABLED"),
            ),
            default_user_settings=self._defaults(),
            # What people left at home is kept, unless all of it was to come to an end.
            retention_policy=sagemaker.DomainRetentionPolicyArgs(
                home_efs_file_system="Delete" if context.settings.experiment else "Retain"
            ),
            tags=context.tags,
            opts=self._child(depends_on=foundation.rights(Purpose.EXPLORATION)),
        )

    def _defaults(self) -> sagemaker.DomainDefaultUserSettingsArgs:
        idle = sagemaker.DomainDefaultUserSettingsJupyterLabAppSettingsAppLifecycleManagementIdleSettingsArgs(
            lifecycle_management="ENABLED",
            idle_timeout_in_minutes=facts.NOTEBOOK_IDLE_MINUTES,
            min_idle_timeout_in_minutes=facts.NOTEBOOK_IDLE_MINUTES,
            max_idle_timeout_in_minutes=2 * facts.NOTEBOOK_IDLE_MINUTES,
        )
        disk = sagemaker.DomainDefaultUserSettingsSpaceStorageSettingsDefaultEbsStorageSettingsArgs(
            default_ebs_volume_size_in_gb=facts.NOTEBOOK_GIB, maximum_ebs_volume_size_in_gb=2 * facts.NOTEBOOK_GIB
        )
        return sagemaker.DomainDefaultUserSettingsArgs(
            execution_role=self.foundation.identities[Purpose.EXPLORATION],
            security_groups=[self.foundation.security_group.id],
            auto_mount_home_efs="Disabled",
            studio_web_portal="ENABLED",
            default_landing_uri="studio::",
            studio_web_portal_settings=sagemaker.DomainDefaultUserSettingsStudioWebPortalSettingsArgs(
                hidden_app_types=_HIDDEN_APPS
            ),
            # Outputs of cells may hold data, and a shared notebook would carry them along.
            sharing_settings=sagemaker.DomainDefaultUserSettingsSharingSettingsArgs(notebook_output_option="Disabled"),
            space_storage_settings=sagemaker.DomainDefaultUserSettingsSpaceStorageSettingsArgs(
                default_ebs_storage_settings=disk
            ),
            jupyter_lab_app_settings=sagemaker.DomainDefaultUserSettingsJupyterLabAppSettingsArgs(
                app_lifecycle_management=sagemaker.DomainDefaultUserSettingsJupyterLabAppSettingsAppLifecycleManagementArgs(
                    idle_settings=idle
                ),
                default_resource_spec=sagemaker.DomainDefaultUserSettingsJupyterLabAppSettingsDefaultResourceSpecArgs(
                    instance_type=facts.NOTEBOOK_INSTANCE_TYPE
                ),
            ),
        )

    def _people(self) -> None:
        """Each person has a profile, and a private space of the same name, so that rights can tell them apart."""
        self.profiles: dict[str, sagemaker.UserProfile] = {}
        self.spaces: dict[str, sagemaker.Space] = {}
        for name, user in self.context.settings.workbench_users.items():
            profile = sagemaker.UserProfile(
                self.context.logical(name),
                domain_id=self.domain.id,
                user_profile_name=name,
                single_sign_on_user_identifier="UserName",
                single_sign_on_user_value=user,
                user_settings=sagemaker.UserProfileUserSettingsArgs(
                    execution_role=self.foundation.identities[Purpose.EXPLORATION],
                    security_groups=[self.foundation.security_group.id],
                ),
                tags=self.context.tags,
                opts=self._child(),
            )
            self.profiles[name], self.spaces[name] = profile, self._space(name, profile)

    def _space(self, name: str, profile: sagemaker.UserProfile) -> sagemaker.Space:
        return sagemaker.Space(
            self.context.logical(name),
            domain_id=self.domain.id,
            space_name=name,
            ownership_settings=sagemaker.SpaceOwnershipSettingsArgs(owner_user_profile_name=profile.user_profile_name),
            space_sharing_settings=sagemaker.SpaceSpaceSharingSettingsArgs(sharing_type="Private"),
            space_settings=sagemaker.SpaceSpaceSettingsArgs(
                app_type="JupyterLab",
                space_storage_settings=sagemaker.SpaceSpaceSettingsSpaceStorageSettingsArgs(
                    ebs_storage_settings=sagemaker.SpaceSpaceSettingsSpaceStorageSettingsEbsStorageSettingsArgs(
                        ebs_volume_size_in_gb=facts.NOTEBOOK_GIB
                    )
                ),
            ),
            tags=self.context.tags,
            opts=self._child(),
        )

    def _rights(self) -> None:
        """A person starts their own notebook, keeps files of their own, and tracks experiments; no pipeline, no event.

        https://docs.aws.amazon.com/sagemaker/latest/dg/studio-updated-user-guide.html; ListApps takes no resource.
        """
        foundation = self.foundation
        account = pulumi.Output.concat("arn:aws:sagemaker:", foundation.region, ":", foundation.account)
        apps, space = (
            pulumi.Output.concat(account, f":{kind}/", self.domain.id, f"/{PERSON}{rest}")
            for kind, rest in (("app", "/*"), ("space", ""))
        )
        artifacts = pulumi.Output.concat(self.data.buckets[Zone.MODELS].arn, "/experiments/*")
        foundation.grant(
            Purpose.EXPLORATION,
            "workbench",
            policy.allow(
                ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject"],
                [pulumi.Output.concat(self.data.buckets[Zone.CURATED].arn, f"/exploration/{PERSON}/*")],
            ),
            policy.allow(["s3:GetObject", "s3:PutObject"], [artifacts]),
            policy.allow(
                ["sagemaker:AddTags", "sagemaker:CreateApp", "sagemaker:DeleteApp", "sagemaker:DescribeApp"], [apps]
            ),
            policy.allow(["sagemaker:DescribeSpace", "sagemaker:UpdateSpace"], [space]),
            policy.allow(["sagemaker:DescribeDomain"], [self.domain.arn]),
            policy.allow(["sagemaker:ListApps", "sagemaker:ListSpaces", "sagemaker:ListUserProfiles"], ["*"]),
            policy.allow(
                ["sagemaker:CreatePresignedMlflowTrackingServerUrl", *facts.TRACKER_ACTIONS],
                [self.tracking_server],
            ),
        )
