"""What the reference architectures share: their layers in order, their wiring, and the check that none is missing."""

import importlib
from typing import ClassVar

import pulumi

from ml_blueprints import capabilities, fence, layers
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.settings import Settings
from ml_blueprints.workload import ArchitectureKind, Mode, Workload


class Architecture(pulumi.ComponentResource):
    """A whole ML platform for one workload on one cloud.

    A reference architecture is a subclass that says what its layers must provide: whether events are ingested as a
    `stream`, whether features are read `online`, and in which `modes` predictions are served.

    The layers are attributes of the same names. `endpoint_url` is where predictions are requested, `sizing` which
    instances answer and why (both None without real time), `capabilities` says which resources realise what, `cost`
    what they cost in a month, by layer and type. A budget that doesn't carry it is a warning. Raises BlueprintError,
    before any resource is registered, if the workload belongs to another architecture, does not fit the cloud or the
    settings, lacks a compiled pipeline or a size that fits, or is kept out by an experiment's fence.
    """

    kind: ClassVar[ArchitectureKind]
    stream: ClassVar[bool]
    online: ClassVar[bool]
    modes: ClassVar[frozenset[Mode]]

    foundation: layers.Foundation
    data: layers.Data
    features: layers.Features
    development: layers.Development
    serving: layers.Serving
    monitoring: layers.Monitoring
    delivery: layers.Delivery

    def __init__(self, name: str, workload: Workload, settings: Settings, opts: pulumi.ResourceOptions | None = None):
        if workload.architecture is not self.kind:
            problem = Problem(
                "architecture", f"`{workload.architecture}`", f"this stack's architecture is `{self.kind}`"
            )
            raise BlueprintError(f"workload {workload.name}", [problem])
        fence.check(workload, settings)
        settings.check(workload)
        cloud = importlib.import_module(f"ml_blueprints.{settings.cloud}")
        cloud.LIMITS.check(workload, settings.environment)
        cloud.PIPELINES.check(workload)
        register = capabilities.Register(settings.cloud, capabilities.asked_by(self.kind, workload))
        self.context = context = layers.Context(name, workload, settings, register)
        # Before anything is registered: there may be no size that fits.
        sizing = context.sizing.outputs() if Mode.REAL_TIME in self.modes else None
        super().__init__(f"ml-blueprints:architectures:{type(self).__name__}", name, None, opts)

        self.sizing = sizing
        child = pulumi.ResourceOptions(parent=self)
        self.foundation = foundation = cloud.Foundation(context, opts=child)
        self.data = data = cloud.Data(context, foundation, stream=self.stream, opts=child)
        self.features = features = cloud.Features(context, foundation, data, online=self.online, opts=child)
        self.development = development = cloud.Development(context, foundation, data, features, opts=child)
        self.serving = cloud.Serving(context, foundation, data, features, development, modes=self.modes, opts=child)
        self.monitoring = cloud.Monitoring(context, foundation, data, development, self.serving, opts=child)
        self.delivery = cloud.Delivery(context, foundation, development, opts=child)

        if missing := register.missing():
            raise RuntimeError(
                f"no resource on {settings.cloud} realises what the {self.kind} architecture asks for: "
                f"{'; '.join(capabilities.described(missing))}"
            )
        self.capabilities = register.outputs()
        self.endpoint_url = self.serving.url
        self.delivered = self.delivery.outputs()
        self.cost = context.ledger.outputs(context.monthly_usd)
        if warning := context.ledger.warning(context.monthly_usd):
            pulumi.log.warn(warning, self)
        self.register_outputs(
            {
                "capabilities": self.capabilities,
                "endpointUrl": self.endpoint_url,
                "sizing": self.sizing,
                "delivery": self.delivered,
                "cost": self.cost,
            }
        )
