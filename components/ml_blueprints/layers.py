"""The layers of a platform: what each one takes and what it gives. Every cloud implements these contracts.

A contract says what the next layer needs, not what a cloud may have: each implementation exposes its native resources
as attributes besides. A cloud's package exports one class per layer, built in this order:

    Foundation(context)
    Data(context, foundation, stream=)
    Features(context, foundation, data, online=)
    Development(context, foundation, data, features)
    Serving(context, foundation, data, features, development, modes=)
    Monitoring(context, foundation, data, development, serving)
    Delivery(context, foundation, development)
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import pulumi

from ml_blueprints import capabilities, sizing
from ml_blueprints.costs.ledger import Ledger
from ml_blueprints.settings import Purpose, Settings
from ml_blueprints.sizing import Instance, Sizing
from ml_blueprints.workload import Workload

_Part = TypeVar("_Part")


def required(part: _Part | None, name: str) -> _Part:
    """A part that not every platform has, for what can't do without. Raises TypeError where there is none."""
    if part is None:
        raise TypeError(f"the architecture asks for something that needs {name}, and has none")
    return part


class Zone(StrEnum):
    """The zones of the data lake."""

    RAW = "raw"
    CURATED = "curated"
    FEATURES = "features"
    MODELS = "models"


@dataclass(frozen=True)
class Context:
    """What every layer of one platform knows: whom it is built for, under which settings, and where it registers."""

    name: str
    workload: Workload
    settings: Settings
    register: capabilities.Register

    def logical(self, part: str) -> str:
        """The logical name of a resource: unique in the stack, short and stable."""
        return f"{self.name}-{part}"

    @cached_property
    def token(self) -> str:
        """Eight characters that tell this platform from others, for physical names that a cloud doesn't generate."""
        identity = f"{pulumi.get_project()}/{pulumi.get_stack()}/{self.name}"
        return hashlib.sha256(identity.encode()).hexdigest()[:8]

    @cached_property
    def sizing(self) -> Sizing:
        """Which instances answer requests, how many at the peak, and why these."""
        return sizing.choose(self.settings.cloud, self.workload)

    @cached_property
    def ledger(self) -> Ledger:
        """What the resources cost that were registered so far."""
        return Ledger.of(self.settings.cloud, self.workload)

    @property
    def instance(self) -> Instance:
        """The instance that answers requests."""
        return self.sizing.instance

    @property
    def monthly_usd(self) -> int:
        """What the platform may cost in a month: an experiment has a budget of its own."""
        experiment = self.settings.experiment
        return experiment.monthly_usd if experiment else self.workload.budget.monthly_usd

    @cached_property
    def tags(self) -> dict[str, str]:
        """Tags or labels of every resource, in the lower case letters, digits, `-` and `_` that Google Cloud takes."""
        expires = {"expires-on": self.settings.experiment.expires_on} if self.settings.experiment else {}
        return expires | {
            "workload": self.workload.name,
            "environment": self.settings.environment,
            "architecture": self.settings.architecture.value,
            "classification": self.workload.data.classification,
            "owner": re.sub(r"[^a-z0-9_-]", "_", self.workload.owner.lower().replace("@", "_at_"))[:63],
        }


class Layer(pulumi.ComponentResource):
    """One layer on one cloud.

    A subclass names its contract's outputs as annotations in `GIVES`; `give` checks that an implementation sets each of
    them, so that the next layer can rely on it.
    """

    cloud: ClassVar[str]
    layer: ClassVar[capabilities.Layer]
    GIVES: ClassVar[tuple[str, ...]]

    def __init__(self, context: Context, opts: pulumi.ResourceOptions | None = None):
        self.context = context
        noted = pulumi.ResourceOptions(transformations=[context.ledger.watch(self.layer)])
        super().__init__(
            f"ml-blueprints:{self.cloud}:{type(self).__name__}",
            context.logical(self.layer),
            None,
            pulumi.ResourceOptions.merge(opts, noted),
        )

    def child(self, **options: Any) -> pulumi.ResourceOptions:
        """Options of a resource of this layer."""
        return pulumi.ResourceOptions(parent=self, **options)

    def realise(self, capability: str, *resources: pulumi.CustomResource) -> None:
        """Register the resources that realise a capability."""
        self.context.register.realise(capability, *resources)

    def give(self, **outputs: Any) -> None:
        """Set what the contract promises, and end the component. Raises TypeError if the contract isn't met exactly."""
        if set(outputs) != set(self.GIVES):
            raise TypeError(
                f"{type(self).__module__}.{type(self).__name__} gives {sorted(outputs)}; "
                f"its contract is {sorted(self.GIVES)}"
            )
        for name, value in outputs.items():
            setattr(self, name, value)
        self.register_outputs(outputs)


class Foundation(Layer):
    """Network, keys, identities and logs.

    key: id of the customer-managed key, as the cloud's resources take it (ARN, resource name, key identifier URL).
    network: id of the network. subnets: ids of its private subnets.
    identities: per purpose, what a resource that acts under it is given (role ARN, account e-mail, resource id).
    logs: id of where logs go (log group ARN, log bucket name, workspace id).
    """

    layer = capabilities.Layer.FOUNDATION
    GIVES = ("key", "network", "subnets", "identities", "logs")
    key: pulumi.Output[str]
    network: pulumi.Output[str]
    subnets: list[pulumi.Output[str]]
    identities: Mapping[Purpose, pulumi.Output[str]]
    logs: pulumi.Output[str]


class Data(Layer):
    """Ingest, transform and catalog.

    zones: URI of each zone of the lake. catalog: id of the catalogued data set. schema: id of the published contract.
    stream: id of the event stream, dead_letters: id of the place for unusable events; both None without stream ingest.
    """

    layer = capabilities.Layer.DATA
    GIVES = ("zones", "catalog", "schema", "stream", "dead_letters")
    zones: Mapping[Zone, pulumi.Output[str]]
    catalog: pulumi.Output[str]
    schema: pulumi.Output[str]
    stream: pulumi.Output[str] | None
    dead_letters: pulumi.Output[str] | None


class Features(Layer):
    """The feature store. offline: id of the features with their history; online: id of the latest values, or None."""

    layer = capabilities.Layer.FEATURES
    GIVES = ("offline", "online")
    offline: pulumi.Output[str]
    online: pulumi.Output[str] | None


class Development(Layer):
    """Experiments, training and the registries.

    registry: per model name, the id of where its versions are registered. images: prefix of image references
    (`<images>/<name>@sha256:...`). experiments: id of the tracker. pipeline: id of the training pipeline;
    retraining: of the one that trains the model in use again.
    """

    layer = capabilities.Layer.DEVELOPMENT
    GIVES = ("registry", "images", "experiments", "pipeline", "retraining")
    registry: Mapping[str, pulumi.Output[str]]
    images: pulumi.Output[str]
    experiments: pulumi.Output[str]
    pipeline: pulumi.Output[str]
    retraining: pulumi.Output[str]


class Serving(Layer):
    """Predictions: in answer to a request, as events arrive, or for a whole population.

    endpoint: id of the real-time endpoint, url: where it is invoked; None without real time. processor: id of what
    scores events; None without stream. batch: id of the scheduled batch scoring; None without batch.
    """

    layer = capabilities.Layer.SERVING
    GIVES = ("endpoint", "url", "processor", "batch")
    endpoint: pulumi.Output[str] | None
    url: pulumi.Output[str] | None
    processor: pulumi.Output[str] | None
    batch: pulumi.Output[str] | None


class Monitoring(Layer):
    """Telemetry, drift, alarms and the way back to training.

    alerts: id of where people are told. drift: id of the drift monitor. retraining: ids of what starts the pipeline.
    """

    layer = capabilities.Layer.MONITORING
    GIVES = ("alerts", "drift", "retraining")
    alerts: pulumi.Output[str]
    drift: pulumi.Output[str]
    retraining: list[pulumi.Output[str]]


class Delivery(Layer):
    """Deployment by Git.

    deployer: identity that workflows of the repository assume, which brings the stack up; auditor: another, that reads
    how things are set up, and changes nothing; issuer: whose tokens both trust. state_url, secrets_provider: where
    Pulumi may keep states, and the key that encrypts their secrets, as `pulumi login` and `pulumi stack init
    --secrets-provider` take them.
    """

    layer = capabilities.Layer.DELIVERY
    GIVES = ("deployer", "auditor", "issuer", "state_url", "secrets_provider")
    deployer: pulumi.Output[str]
    auditor: pulumi.Output[str]
    issuer: str
    state_url: pulumi.Output[str]
    secrets_provider: pulumi.Output[str]

    def outputs(self) -> dict[str, pulumi.Output[str]]:
        """What a workflow is told, as a stack's output."""
        return {
            "deployer": self.deployer,
            "auditor": self.auditor,
            "stateUrl": self.state_url,
            "secretsProvider": self.secrets_provider,
        }
