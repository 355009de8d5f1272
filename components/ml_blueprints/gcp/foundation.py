"""The foundation on Google Cloud: service APIs, KMS key, log bucket, network, and a service account per purpose."""

import datetime
from collections.abc import Callable, Sequence
from typing import TypeVar

import pulumi
from pulumi_gcp import bigquery, config, kms, logging, organizations, projects, serviceaccount, storage

from ml_blueprints import layers
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.gcp import facts
from ml_blueprints.gcp.network import Network
from ml_blueprints.layers import Context
from ml_blueprints.settings import Experiment, Purpose
from ml_blueprints.workload import ArchitectureKind, Inference, Role

_Condition = TypeVar("_Condition")


class Foundation(layers.Foundation):
    """Network, key, identities and logs on Google Cloud.

    Native resources: `services`, `agents` by service, `key_ring`, `crypto_key`, `key_grants`, `log_bucket`,
    `log_sink`, `network_component` (network, subnets, endpoint), `accounts` that something runs as, by purpose, or by
    part where a layer has one of its own. `project`, `project_number` and `billing_account` are facts of the project;
    `region` is where everything lies.

    What another layer makes depends on `ready`: the APIs are enabled by then, and Google's services may use the key.
    """

    cloud = "gcp"

    def __init__(self, context: Context, opts: pulumi.ResourceOptions | None = None):
        self.region = _region()
        _check_api(context, self.region)
        super().__init__(context, opts)
        project = organizations.get_project_output(opts=pulumi.InvokeOptions(parent=self))
        self.project = project.project_id
        self.project_number = project.number
        self.billing_account = project.billing_account
        self.online = context.settings.architecture is not ArchitectureKind.BATCH
        self.accounts: dict[str, serviceaccount.Account] = {}
        self.key_grants: list[pulumi.Resource] = []
        self._services()
        self._encryption()
        self._logs()
        self._network()
        self._identities()
        self.give(
            key=self.key_name,
            network=self.network_component.network_id,
            subnets=self.network_component.subnet_ids,
            identities=self.account_emails,
            logs=self.log_bucket.id,
        )

    @property
    def ready(self) -> Sequence[pulumi.Resource]:
        """What must exist before anything is made; the grants on the key come after the services."""
        return self.key_grants or self.services

    def member(self, purpose: Purpose) -> pulumi.Output[str]:
        """An identity as policies name it."""
        return pulumi.Output.concat("serviceAccount:", self.identities[purpose])

    def until(self, condition: Callable[..., _Condition]) -> _Condition | None:
        """The condition of a grant in an experiment, which ends with its last day; elsewhere grants have none.

        https://cloud.google.com/iam/docs/conditions-overview
        """
        if self._ends is None:
            return None
        return condition(title="experiment", description="Rights of an experiment end with it", expression=self._ends)

    @property
    def _ends(self) -> str | None:
        """When rights end, as conditions have it."""
        experiment = self.context.settings.experiment
        return f'request.time < timestamp("{expiry(experiment)}")' if experiment else None

    def account(self, part: str, description: str, opts: pulumi.ResourceOptions) -> serviceaccount.Account:
        """An account that something of the platform runs as."""
        self.accounts[part] = serviceaccount.Account(
            self.context.logical(part),
            # 6 to 30 characters (https://cloud.google.com/iam/docs/service-accounts-create).
            account_id=f"{part}-{self.context.token}",
            display_name=f"{self.context.name}: {part}",
            description=description,
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=self.services)),
        )
        return self.accounts[part]

    def act_as(self, runner: Purpose, identity: Purpose) -> list[pulumi.Resource]:
        """Let one identity start work under another; an identity brought along is its owner's to equip.

        Returns the grant, so that what needs it can wait for it.
        """
        if identity not in self.accounts:
            return []
        return [
            serviceaccount.IAMMember(
                self.context.logical(f"{runner}-as-{identity}"),
                service_account_id=self.accounts[identity].name,
                role=facts.ROLE_ACT_AS,
                member=self.member(runner),
                condition=self.until(serviceaccount.IAMMemberConditionArgs),
                opts=self.child(),
            )
        ]

    def role(
        self, part: str, title: str, permissions: Sequence[str], parent: pulumi.Resource | None = None
    ) -> projects.IAMCustomRole:
        """A role of the platform's own, which holds these permissions and no others. parent: the layer whose it is."""
        return projects.IAMCustomRole(
            self.context.logical(part),
            # Ids have letters, digits, `_` and `.` (https://cloud.google.com/iam/docs/creating-custom-roles).
            role_id=f"{part.replace('-', '_')}_{self.context.token}",
            title=f"{self.context.name}: {title}",
            permissions=list(permissions),
            opts=pulumi.ResourceOptions.merge(
                self.child(depends_on=self.services), pulumi.ResourceOptions(parent=parent)
            ),
        )

    def grant_on_project(
        self, part: str, title: str, permissions: Sequence[str], member: pulumi.Input[str]
    ) -> projects.IAMMember:
        """Grant what can't be granted on less than the project, by a role of the platform's own."""
        return self.grant_role(part, self.role(part, title, permissions), member)

    def grant_role(
        self,
        part: str,
        role: projects.IAMCustomRole,
        member: pulumi.Input[str],
        named: pulumi.Output[str] | None = None,
    ) -> projects.IAMMember:
        """Grant a role of the platform's own on the project; named: the condition of its resources' names."""
        condition = self.until(projects.IAMMemberConditionArgs)
        if named is not None:
            condition = projects.IAMMemberConditionArgs(
                title="named",
                description="Resources of the platform's name",
                expression=named.apply(lambda names: f"({names}) && {self._ends}") if self._ends else named,
            )
        return projects.IAMMember(
            self.context.logical(part),
            project=self.project,
            role=role.name,
            member=member,
            condition=condition,
            opts=self.child(),
        )

    def _services(self) -> None:
        """Enable the APIs, and leave them enabled: other systems of the project may have come to rely on them."""
        names = facts.SERVICES + (facts.ONLINE_SERVICES if self.online else ())
        serving = self.context.workload.serving
        names += facts.API_SERVICES if serving.tenants else ()
        names += facts.QUEUE_SERVICES if serving.inference is Inference.ASYNCHRONOUS else ()
        self.services = [
            projects.Service(
                self.context.logical(f"api-{name}"),
                service=f"{name}.googleapis.com",
                disable_on_destroy=False,
                opts=self.child(),
            )
            for name in names
        ]
        key_users = facts.KEY_USERS + (facts.ONLINE_KEY_USERS if self.online else ())
        self.agents: dict[str, pulumi.Output[str]] = {
            name: projects.ServiceIdentity(
                self.context.logical(f"agent-{name}"),
                service=f"{name}.googleapis.com",
                opts=self.child(depends_on=self.services),
            ).member
            for name in (*key_users, *self._other_agents())
        }

    def _other_agents(self) -> tuple[str, ...]:
        """The agents that encrypt nothing; that of Cloud Monitoring tells a canary's alerts."""
        return facts.OTHER_AGENTS + (("monitoring",) if self.context.workload.models_in(Role.CANARY) else ())

    def _encryption(self) -> None:
        context, settings = self.context, self.context.settings.encryption
        if settings.existing_key:
            self.key_name = pulumi.Output.from_input(settings.existing_key)
            context.register.brought("customer-managed-key")
            return
        self.key_ring = kms.KeyRing(
            context.logical("keys"), location=self.region, opts=self.child(depends_on=self.services)
        )
        self.crypto_key = kms.CryptoKey(
            context.logical("key"),
            key_ring=self.key_ring.id,
            purpose="ENCRYPT_DECRYPT",
            rotation_period=f"{settings.rotation_days * 24 * 3600}s",
            destroy_scheduled_duration=f"{30 * 24 * 3600}s",
            labels=context.tags,
            opts=self.child(),
        )
        self.key_name = self.crypto_key.id
        self.key_grants = [
            kms.CryptoKeyIAMMember(
                context.logical(f"key-{name}"),
                crypto_key_id=self.key_name,
                role=facts.ROLE_KEY_USER,
                member=member,
                opts=self.child(),
            )
            for name, member in self._key_users().items()
        ]
        self.realise("customer-managed-key", self.crypto_key)

    def _key_users(self) -> dict[str, pulumi.Output[str]]:
        """The service agents that encrypt with the key; those of three services are asked for at the service itself."""
        made = {name: agent for name, agent in self.agents.items() if name not in self._other_agents()}
        asked = pulumi.InvokeOutputOptions(parent=self, depends_on=self.services)
        logs = logging.get_project_cmek_settings_output(project=self.project, opts=asked).service_account_id
        compute = self.project_number.apply(lambda number: facts.COMPUTE_AGENT.format(number=number))
        return made | {
            "bigquery": bigquery.get_default_service_account_output(opts=asked).member,
            "compute": pulumi.Output.concat("serviceAccount:", compute),
            "logging": pulumi.Output.concat("serviceAccount:", logs),
            "storage": storage.get_project_service_account_output(opts=asked).member,
        }

    def _logs(self) -> None:
        context = self.context
        self.log_bucket = logging.ProjectBucketConfig(
            context.logical("logs"),
            project=self.project,
            location=self.region,
            bucket_id=f"{context.name}-{context.token}",
            description=f"Logs of {context.workload.name}",
            retention_days=facts.LOG_RETENTION_DAYS,
            cmek_settings=logging.ProjectBucketConfigCmekSettingsArgs(kms_key_name=self.key_name),
            opts=self.child(depends_on=self.ready),
        )
        self.log_sink = logging.ProjectSink(
            context.logical("logs"),
            description=f"Logs of {context.workload.name} to its own bucket",
            destination=pulumi.Output.concat("logging.googleapis.com/", self.log_bucket.id),
            filter=" OR ".join(f'resource.type="{kind}"' for kind in facts.LOGGED_RESOURCES),
            unique_writer_identity=True,
            opts=self.child(),
        )
        self.realise("central-logs", self.log_bucket)

    def _network(self) -> None:
        network = Network(self.context, self.region, self.services, opts=self.child())
        self.network_component = network
        self.grant_on_project(
            "attach-jobs", "attach jobs to the network", facts.ATTACHMENT_PERMISSIONS, self.agents["aiplatform"]
        )
        if network.endpoint is None:
            for capability in ("private-network", "private-service-access", "flow-logs"):
                self.context.register.brought(capability)
            return
        self.realise("private-network", *network.subnets)
        self.realise("private-service-access", network.endpoint)
        self.realise("flow-logs", *network.subnets)

    def _identities(self) -> None:
        context = self.context
        self.account_emails: dict[Purpose, pulumi.Output[str]] = {}
        for purpose in Purpose:
            if existing := context.settings.identities.get(purpose):
                self.account_emails[purpose] = pulumi.Output.from_input(existing)
                continue
            account = self.account(purpose, f"{purpose} of {context.workload.name}", self.child())
            self.account_emails[purpose] = account.email
            self.grant_on_project(purpose, purpose, facts.PROJECT_PERMISSIONS[purpose], account.member)
        if self.accounts:
            self.realise("identity-per-purpose", *self.accounts.values())
        else:
            context.register.brought("identity-per-purpose")


def expiry(experiment: Experiment) -> str:
    """The moment, in RFC 3339, when the last day of an experiment is over."""
    return f"{datetime.date.fromisoformat(experiment.expires_on) + datetime.timedelta(days=1)}T00:00:00Z"


def _check_api(context: Context, region: str) -> None:
    """Raises BlueprintError for a tenants' API that couldn't be had as the settings say."""
    if not context.workload.serving.tenants:
        return
    problems = []
    if not context.settings.public_api:
        right = "`true`: API Gateway, which tenants come in by, has a public address and no other"
        problems.append(Problem("ml-blueprints:public_api", "`false`", right))
    if region not in facts.API_REGIONS:
        right = f"API Gateway, which tenants come in by, is in {', '.join(sorted(facts.API_REGIONS))}"
        problems.append(Problem("gcp:region", f"`{region}`", right))
    if problems:
        raise BlueprintError(f"Pulumi.{pulumi.get_stack()}.yaml", problems)


def _region() -> str:
    """The region of the stack. Raises BlueprintError where neither its configuration nor the environment has one."""
    if region := config.region:
        return region
    problem = Problem("gcp:region", "nothing", "the gcp provider needs it: `pulumi config set gcp:region ...`")
    raise BlueprintError(f"Pulumi.{pulumi.get_stack()}.yaml", [problem])
