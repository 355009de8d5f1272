"""The scoring service as a container app: the router in front of the platform's endpoint, or models without one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import app

from ml_blueprints.azure import facts
from ml_blueprints.azure.app_environment import AppEnvironment
from ml_blueprints.azure.development import Development
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.layers import Context


@dataclass(frozen=True)
class Acting:
    """As whom an app acts, by resource id and as code asks for its tokens; and the rights that it waits for."""

    identity: pulumi.Input[str]
    client: pulumi.Input[str]
    ready: Sequence[pulumi.Resource]


@dataclass(frozen=True)
class Size:
    """One replica: processors, of which each has 2 GiB."""

    cpu: int

    @property
    def resources(self) -> app.ContainerResourcesArgs:
        """As container apps take it."""
        return app.ContainerResourcesArgs(cpu=self.cpu, memory=f"{self.cpu * facts.APP_MEMORY_PER_CPU}Gi")


class ScoringApp(pulumi.ComponentResource):
    """The scoring service with replicas that follow its requests, down to none where the workload says so.

    open_to: who is let in from the platform's network, by the object ids of principals; empty: whoever the
    organisation's directory knows; None: nobody, since other container apps alone find it. container_app: the resource,
    url: where it is asked.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        development: Development,
        environment: AppEnvironment,
        part: str,
        acting: Acting,
        size: Size,
        variables: Mapping[str, pulumi.Input[str]],
        open_to: Sequence[pulumi.Input[str]] | None,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:azure:ScoringApp", context.logical(part), None, opts)
        self.context, self.foundation, self.development, self.part = context, foundation, development, part
        self._container_app(environment, acting, size, variables, external=open_to is not None)
        # The name of an app that others in the environment alone find has a part of its own.
        between = "." if open_to is not None else ".internal."
        self.host = pulumi.Output.concat(
            self.container_app.name, between, environment.environment.default_domain.apply(lambda name: name or "")
        )
        self.url = pulumi.Output.concat("https://", self.host)
        if open_to is not None:
            self._let_in(open_to)
        self.register_outputs({"containerAppId": self.container_app.id})

    def _container_app(
        self,
        environment: AppEnvironment,
        acting: Acting,
        size: Size,
        variables: Mapping[str, pulumi.Input[str]],
        external: bool,
    ) -> None:
        """A new revision takes the requests once it is ready, and the old one goes after that."""
        context, development, replicas = self.context, self.development, self.context.workload.serving.replicas
        told = {**variables, "IDENTITY": acting.client, "PORT": str(facts.SERVICE_PORT)}
        probe = app.ContainerAppProbeHttpGetArgs(path=facts.HEALTH_PATH, port=facts.SERVICE_PORT)
        alive = app.ContainerAppProbeHttpGetArgs(path=facts.LIVE_PATH, port=facts.SERVICE_PORT)
        self.container_app = app.ContainerApp(
            context.logical(self.part),
            # At most 32 lower case letters, digits and `-`.
            container_app_name=f"{self.part}-{context.token}",
            resource_group_name=self.foundation.group,
            location=self.foundation.location,
            environment_id=environment.environment.id,
            workload_profile_name="Consumption",
            identity=app.ManagedServiceIdentityArgs(
                type=app.ManagedServiceIdentityType.USER_ASSIGNED, user_assigned_identities=[acting.identity]
            ),
            configuration=app.ConfigurationArgs(
                active_revisions_mode=app.ActiveRevisionsMode.SINGLE,
                registries=[app.RegistryCredentialsArgs(server=development.images, identity=acting.identity)],
                ingress=app.IngressArgs(
                    external=external,
                    target_port=facts.SERVICE_PORT,
                    transport=app.IngressTransportMethod.HTTP,
                    allow_insecure=False,
                    traffic=[app.TrafficWeightArgs(latest_revision=True, weight=100)],
                ),
            ),
            template=app.TemplateArgs(
                containers=[
                    app.ContainerArgs(
                        name=self.part,
                        image=development.image,
                        command=list(facts.COMMANDS["serve"]),
                        env=[app.EnvironmentVarArgs(name=name, value=value) for name, value in told.items()],
                        resources=size.resources,
                        probes=[
                            app.ContainerAppProbeArgs(type=app.Type.READINESS, http_get=probe, period_seconds=5),
                            app.ContainerAppProbeArgs(
                                type=app.Type.STARTUP, http_get=probe, period_seconds=2, failure_threshold=60
                            ),
                            app.ContainerAppProbeArgs(type=app.Type.LIVENESS, http_get=alive, period_seconds=10),
                        ],
                    )
                ],
                termination_grace_period_seconds=30,
                # https://learn.microsoft.com/azure/container-apps/scale-app#http
                scale=app.ScaleArgs(
                    min_replicas=replicas.minimum,
                    max_replicas=replicas.maximum,
                    rules=[
                        app.ScaleRuleArgs(
                            name="requests",
                            http=app.HttpScaleRuleArgs(metadata={"concurrentRequests": facts.APP_CONCURRENCY}),
                        )
                    ],
                ),
            ),
            tags=context.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*acting.ready]),
        )

    def _let_in(self, principals: Sequence[pulumi.Input[str]]) -> None:
        """Requests need a token of the organisation's directory, as those of Azure Machine Learning's endpoints do.

        https://learn.microsoft.com/azure/container-apps/authentication-entra
        """
        issuer = self.foundation.tenant.apply(lambda tenant: facts.ENTRA_ISSUER.format(tenant=tenant))
        policy = app.DefaultAuthorizationPolicyArgs(
            allowed_principals=app.AllowedPrincipalsArgs(identities=[*principals])
        )
        self.authorisation = app.ContainerAppsAuthConfig(
            self.context.logical(self.part),
            auth_config_name="current",
            resource_group_name=self.foundation.group,
            container_app_name=self.container_app.name,
            platform=app.AuthPlatformArgs(enabled=True),
            global_validation=app.GlobalValidationArgs(
                unauthenticated_client_action=app.UnauthenticatedClientActionV2.RETURN401
            ),
            http_settings=app.HttpSettingsArgs(require_https=True),
            identity_providers=app.IdentityProvidersArgs(
                azure_active_directory=app.AzureActiveDirectoryArgs(
                    enabled=True,
                    registration=app.AzureActiveDirectoryRegistrationArgs(
                        client_id=facts.SCORING_APPLICATION, open_id_issuer=issuer
                    ),
                    validation=app.AzureActiveDirectoryValidationArgs(
                        allowed_audiences=[facts.SCORING_AUDIENCE],
                        default_authorization_policy=policy if principals else None,
                    ),
                )
            ),
            opts=pulumi.ResourceOptions(parent=self.container_app),
        )
