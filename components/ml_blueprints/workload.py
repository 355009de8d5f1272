"""The workload: what is wanted of an ML platform, in one file that names no cloud.

The same file feeds the stacks of all clouds. `Workload.load` reads and validates it; whatever is wrong is said at once,
with the file, the field, the value that was found and what would be right.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ml_blueprints import avro, contracts, schedules
from ml_blueprints.compatibility import Mode as Compatibility
from ml_blueprints.definitions import Strict, read_yaml
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.explanations import disagreement, explain, written_as


class ArchitectureKind(StrEnum):
    """The three reference architectures."""

    STREAMING = "streaming"
    BATCH = "batch"
    HYBRID = "hybrid"


class Mode(StrEnum):
    """How predictions reach their consumer."""

    STREAM = "stream"
    REAL_TIME = "real_time"
    BATCH = "batch"


class Role(StrEnum):
    """What a model version is deployed for."""

    CHAMPION = "champion"
    CANARY = "canary"
    SHADOW = "shadow"
    CHALLENGER = "challenger"
    MEMBER = "member"


MODES: Mapping[ArchitectureKind, frozenset[Mode]] = {
    ArchitectureKind.STREAMING: frozenset({Mode.STREAM, Mode.REAL_TIME}),
    ArchitectureKind.BATCH: frozenset({Mode.BATCH}),
    ArchitectureKind.HYBRID: frozenset({Mode.REAL_TIME}),
}


def _cron(expression: str) -> str:
    try:
        return " ".join(schedules.parse(expression))
    except ValueError as error:
        raise PydanticCustomError("cron", "{reason}", {"reason": str(error)}) from None


# Names become part of resource names on every cloud, so they keep to what all of them take.
Name = Annotated[
    str,
    written_as(
        r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", "lower case letters and digits, in parts joined by `-`", max_length=40
    ),
]
Column = Annotated[
    str, written_as(r"^[a-z][a-z0-9_]*$", "lower case letters, digits and `_`, a letter first", max_length=60)
]
Version = Annotated[
    str,
    written_as(
        r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$", "a version as in `1.4.2`, in quotes", max_length=20
    ),
]
Cron = Annotated[str, AfterValidator(_cron)]


class Contract(Strict):
    """The schema of the events or rows that come in, as an Avro record, and how it may change.

    A file `<number>.avsc` beside a `contract.yaml` is a version of a contract with a history.
    """

    path: Annotated[
        str, Field(description="Avro schema file, relative to the workload file; `.../3.avsc` puts version 3 in use")
    ]
    compatibility: Annotated[Compatibility, Field(description="Which changes of the schema its registry takes")] = (
        "BACKWARD"
    )
    _record: dict[str, Any] = PrivateAttr()
    _history: contracts.History | None = PrivateAttr(default=None)

    @property
    def record(self) -> dict[str, Any]:
        """The Avro record that the file holds."""
        return self._record

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the record's fields, in their order."""
        return tuple(field["name"] for field in self._record["fields"])

    @property
    def version(self) -> int | None:
        """The number of the version that is in use; None for a schema without a history."""
        return int(Path(self.path).stem) if self._history else None

    @property
    def published(self) -> Mapping[int, Mapping[str, Any]]:
        """All published versions in order, the one in use among them; empty for a schema without a history."""
        return self._history.published if self._history else {}

    @property
    def history(self) -> contracts.History | None:
        """All versions of the contract and its terms, if its file is one of several."""
        return self._history

    @model_validator(mode="after")
    def _read(self, info: ValidationInfo) -> Self:
        field, found = "data.contract.path", f"`{self.path}`"
        path = (info.context or {}).get("directory", Path()) / self.path
        try:
            schema = json.loads(path.read_text(encoding="utf-8"))
        except OSError:
            raise disagreement(Problem(field, found, f"no file is at {path}")) from None
        except (ValueError, RecursionError) as error:
            raise disagreement(Problem(field, found, f"an Avro schema is JSON, and {path} is not: {error}")) from None
        if reason := avro.wrong(schema):
            raise disagreement(Problem(field, found, f"{path} should hold an Avro record: {reason}"))
        self._record = schema
        try:
            self._history = contracts.history(path)
        except BlueprintError as error:
            problems = (Problem(field, found, f"{error.source}: {problem}") for problem in error.problems)
            raise disagreement(*problems) from None
        return self


# How secret data is, the least secret first.
Classification = Literal["public", "internal", "confidential", "restricted"]


class Data(Strict):
    """Where the data comes from and how it must be treated."""

    contract: Contract
    entity: Annotated[Column, Field(description="Field of the contract that identifies whom a prediction is about")]
    event_time: Annotated[Column, Field(description="Field of the contract that says when it happened")]
    classification: Annotated[Classification, Field(description="How secret the data is")]
    retention_days: Annotated[int, Field(ge=1, le=3650, description="Days after which data is deleted")]
    events_per_second: Annotated[int, Field(ge=1, le=100_000, description="Expected peak; sizes the event stream")] = (
        100
    )


class Feature(Strict):
    """One feature of the entity, as the feature store holds it."""

    name: Annotated[Column, Field(description="Name of the feature, as models ask for it")]
    type: Annotated[Literal["integer", "float", "string", "boolean"], Field(description="Type of its values")]
    description: Annotated[str, Field(description="What it means, for people")] = ""


class Features(Strict):
    """The group of features that the models read."""

    group: Annotated[Column, Field(description="Name of the group in the feature store")]
    definitions: Annotated[
        tuple[Feature, ...], Field(min_length=1, max_length=500, strict=False, description="The features")
    ]
    job: Annotated[
        str,
        Field(description="Spark job that computes them from the lake: a Python file, relative to the workload file"),
    ]
    schedule: Annotated[Cron, Field(description="When the job computes what was added to the lake; UTC")] = "0 0 * * *"
    online_ttl_hours: Annotated[int, Field(ge=1, le=8760, description="How long a value may be served online")] = 168
    _job_source: str = PrivateAttr()

    @property
    def job_source(self) -> str:
        """The text of the job."""
        return self._job_source

    @model_validator(mode="after")
    def _read(self, info: ValidationInfo) -> Self:
        field, found = "features.job", f"`{self.job}`"
        path = (info.context or {}).get("directory", Path()) / self.job
        try:
            self._job_source = path.read_text(encoding="utf-8")
        except OSError:
            raise disagreement(Problem(field, found, f"no file is at {path}")) from None
        except UnicodeDecodeError as error:
            raise disagreement(Problem(field, found, f"{path} is not UTF-8 at byte {error.start}")) from None
        return self


class Model(Strict):
    """One version of one model, and what it is deployed for. Promotion is a change of this line."""

    name: Annotated[Name, Field(description="Name of the model in the registry")]
    version: Annotated[Version, Field(description="Version of the model in the registry")]
    role: Annotated[
        Role,
        Field(
            strict=False,
            description="What it is deployed for; a challenger is registered only, a member answers in an ensemble",
        ),
    ]
    traffic: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Percent of requests; champion and canary share 100, a shadow sees copies of its percent",
        ),
    ] = 0
    tenant: Annotated[
        Name | None, Field(description="The tenant whose requests it answers; none: those of all that have no own")
    ] = None


class Replicas(Strict):
    """Bounds of autoscaling, in instances."""

    minimum: Annotated[int, Field(ge=0, le=100, description="Instances that are always there")] = 1
    maximum: Annotated[int, Field(ge=1, le=100, description="Instances at the highest load")] = 2


class Ensemble(Strict):
    """Several models that answer as one."""

    method: Annotated[
        Literal["vote", "weighted_mean", "stacked", "cascade"], Field(description="How several answers become one")
    ]
    members: Annotated[
        tuple[Name, ...], Field(min_length=2, strict=False, description="Names of models, cheapest first")
    ]
    weights: Annotated[
        dict[Name, Annotated[float, Field(ge=0, allow_inf_nan=False)]],
        Field(default_factory=dict, description="Weight of each member in a weighted mean; 1 where none is given"),
    ]
    band: Annotated[
        tuple[Annotated[float, Field(allow_inf_nan=False)], Annotated[float, Field(allow_inf_nan=False)]],
        Field(strict=False, description="Scores between which a cascade asks the next member"),
    ] = (0.2, 0.8)
    stacker: Annotated[Name | None, Field(description="The model on top, which a stacked ensemble has")] = None
    least: Annotated[int, Field(ge=1, description="Members that must answer; with fewer there is no answer")] = 1
    timeout_ms: Annotated[int, Field(ge=1, le=60_000, description="How long a member is waited for")] = 500

    @property
    def models(self) -> tuple[str, ...]:
        """The names of all models that it needs."""
        return self.members + ((self.stacker,) if self.stacker else ())


class Placement(StrEnum):
    """On whose instances a tenant's requests are answered."""

    SHARED = "shared"
    DEDICATED = "dedicated"


class Tenant(Strict):
    """A consumer with a quota of its own. Its name is what the token says, never what a request says."""

    name: Annotated[Name, Field(description="Name of the consumer")]
    requests_per_second: Annotated[int, Field(ge=1, le=100_000, description="How much it may ask")]
    requests_per_day: Annotated[
        int | None,
        Field(
            ge=1,
            description="How much it may ask in a day of UTC; none: no quota. On Google Cloud each instance of the "
            "router counts for itself, and anew when it starts",
        ),
    ] = None
    concurrency: Annotated[
        int | None, Field(ge=1, le=10_000, description="Requests at a time; none: those of a tenth of a second")
    ] = None
    placement: Annotated[
        Placement, Field(strict=False, description="On instances that all share, or on some of its own")
    ] = Placement.SHARED
    features: Annotated[
        Literal["shared", "own"], Field(description="Whether its entities' features are kept under its name")
    ] = "shared"


class Inference(StrEnum):
    """What answers requests."""

    PROVISIONED = "provisioned"
    SERVERLESS = "serverless"
    ASYNCHRONOUS = "asynchronous"


class Serving(Strict):
    """How predictions are served."""

    mode: Annotated[Mode, Field(strict=False, description="How predictions reach their consumer")]
    inference: Annotated[
        Inference,
        Field(strict=False, description="Whether instances wait for requests, come with them, or take a queue"),
    ] = Inference.PROVISIONED
    size: Annotated[
        Literal["small", "medium", "large", "cheapest"],
        Field(description="Size class of an instance; `cheapest`: that keeps the latency objective within the budget"),
    ] = "small"
    requests_per_second: Annotated[
        int | None, Field(ge=1, le=100_000, description="Expected peak; none: the peak of events")
    ] = None
    monthly_usd: Annotated[
        int | None, Field(gt=0, description="What instances that answer may cost in a month; none: the whole budget")
    ] = None
    replicas: Replicas = Replicas()
    scale_to_zero: Annotated[bool, Field(description="Keep no instance while there are no requests")] = False
    schedule: Annotated[Cron | None, Field(description="When batch predictions are made; UTC")] = None
    ensemble: Ensemble | None = None
    tenants: Annotated[
        tuple[Tenant, ...], Field(strict=False, description="Consumers with quotas of their own; none: everyone alike")
    ] = ()


class Drift(Strict):
    """When the data counts as changed."""

    metric: Annotated[
        Literal["population_stability_index", "kolmogorov_smirnov", "jensen_shannon", "wasserstein"],
        Field(description="How the distance of two distributions is measured"),
    ] = "population_stability_index"
    threshold: Annotated[
        float, Field(gt=0, allow_inf_nan=False, description="Distance beyond which data has drifted")
    ] = 0.2
    attribution: Annotated[
        float,
        Field(
            gt=0, le=1, description="NDCG of the inputs by what they move scores, below which these come from others"
        ),
    ] = 0.9
    schedule: Annotated[
        str,
        written_as(
            r"^0 (\*|\*/([2-9]|1[0-2])|1?[0-9]|2[0-3]) \* \* \*$",
            "`0 * * * *` (hourly), `0 */n * * *` (every n hours, 2 to 12) or `0 h * * *` (daily)",
            description="Hourly, every n hours, or daily; UTC",
        ),
    ] = "0 * * * *"


class Feedback(Strict):
    """What came of the answers: who asked which version how much, and how good it was, once outcomes are known."""

    schedule: Annotated[Cron, Field(description="When the tables of usage and performance are written; UTC")] = (
        "0 5 * * *"
    )
    labels_within_days: Annotated[
        int | None,
        Field(
            ge=1,
            le=400,
            description="How many days an outcome may take; they come as files under `labels/` of the curated zone. "
            "None: no outcomes come",
        ),
    ] = None


class Monitoring(Strict):
    """What is watched, and what is promised."""

    drift: Drift = Drift()
    feedback: Feedback = Feedback()
    latency_objective_ms: Annotated[int | None, Field(ge=1, le=60_000, description="p99 of a request")] = None
    error_rate_objective: Annotated[float, Field(gt=0, lt=1, description="Share of requests that may fail")] = 0.01


class Retraining(Strict):
    """What starts a new training run."""

    trigger: Annotated[
        Literal["drift", "schedule", "drift_or_schedule"], Field(description="What starts the training pipeline")
    ]
    schedule: Annotated[Cron | None, Field(description="When training starts, if a schedule starts it; UTC")] = None
    cool_down_hours: Annotated[
        int, Field(ge=0, le=744, description="Hours from one training that drift starts to the next")
    ] = 24


class Budget(Strict):
    """What the platform may cost."""

    monthly_usd: Annotated[int, Field(gt=0, description="US dollars in a month")]
    alert_percent: Annotated[
        tuple[Annotated[int, Field(ge=1, le=100)], ...],
        Field(min_length=1, strict=False, description="Shares of it at which the owner is told"),
    ] = (50, 80, 100)


class Workload(Strict):
    """What is wanted of an ML platform: data, features, models, serving, monitoring, retraining and budget."""

    name: Annotated[Name, Field(description="Name of the workload; resource names and tags begin with it")]
    description: Annotated[str, Field(description="What it is for, for people")]
    owner: Annotated[
        str,
        written_as(
            r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
            "an e-mail address",
            description="E-mail address of the team that answers for it",
        ),
    ]
    architecture: Annotated[ArchitectureKind, Field(strict=False, description="The reference architecture it needs")]
    data: Data
    features: Features
    models: Annotated[
        tuple[Model, ...], Field(min_length=1, strict=False, description="Model versions and their roles")
    ]
    serving: Serving
    monitoring: Monitoring = Monitoring()
    retraining: Retraining
    budget: Budget
    pipelines: Annotated[
        str,
        Field(description="Folder of the compiled pipelines, `<platform>/<name>/...`, relative to the workload file"),
    ]
    _directory: Path = PrivateAttr()

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a workload file. Raises BlueprintError with every field that is wrong."""
        path = Path(path)
        try:
            return cls.model_validate(read_yaml(path, "workload", "name"), context={"directory": path.parent})
        except ValidationError as error:
            raise BlueprintError(str(path), explain(error)) from None

    @property
    def champion(self) -> Model:
        """The one model version whose answers count; tenants may have others of their own."""
        return next(model for model in self.models if model.role is Role.CHAMPION and model.tenant is None)

    def models_in(self, *roles: Role) -> tuple[Model, ...]:
        """The model versions with one of these roles, in the order of the file."""
        return tuple(model for model in self.models if model.role in roles)

    def pipeline_file(self, platform: str, file: str) -> Path:
        """Where a compiled pipeline lies, such as `training.json` of `sagemaker`."""
        return self._directory / self.pipelines / platform / self.name / file

    @model_validator(mode="after")
    def _placed(self, info: ValidationInfo) -> Self:
        self._directory = (info.context or {}).get("directory", Path())
        return self

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if problems := [*self._wrong_roles(), *self._wrong_serving(), *self._wrong_data(), *self._wrong_dates()]:
            raise disagreement(*problems)
        return self

    def _wrong_roles(self) -> Iterator[Problem]:
        """Versions, roles and traffic that don't go together."""
        for tenant in dict.fromkeys([None, *(model.tenant for model in self.models)]):
            own = [model for model in self.models if model.tenant == tenant]
            whose = f" of tenant {tenant}" if tenant else ""
            champions = [f"{model.name} {model.version}" for model in own if model.role is Role.CHAMPION]
            live = sum(model.traffic for model in own if model.role in (Role.CHAMPION, Role.CANARY))
            if len(champions) != 1:
                found = " and ".join(champions) or "none"
                yield Problem("models", found + whose, "exactly one model has the role champion")
            elif live != 100:
                yield Problem("models", f"traffic of {live}{whose}", "traffic of champion and canaries adds up to 100")
        versions = [f"{model.name} {model.version}" for model in self.models]
        if twice := _twice(versions):
            yield Problem("models", twice, "each version of a model is listed once")
        tenants = [tenant.name for tenant in self.serving.tenants]
        in_ensemble = self.serving.ensemble.models if self.serving.ensemble else ()
        for index, model in enumerate(self.models):
            if model.role in (Role.CHALLENGER, Role.MEMBER) and model.traffic:
                yield Problem(
                    f"models[{index}].traffic",
                    f"`{model.traffic}`",
                    f"a {model.role} takes no traffic; make it a canary or a shadow",
                )
            if model.role is Role.MEMBER and model.name not in in_ensemble:
                yield Problem(
                    f"models[{index}].role",
                    f"`{model.role}`",
                    f"the ensemble has {', '.join(in_ensemble) or 'no models'}, and not {model.name}",
                )
            if model.tenant is not None and model.tenant not in tenants:
                right = f"a tenant of the workload: {', '.join(tenants) or 'it has none'}"
                yield Problem(f"models[{index}].tenant", f"`{model.tenant}`", right)
            if model.role in (Role.CANARY, Role.SHADOW) and not model.traffic:
                yield Problem(f"models[{index}].traffic", "`0`", f"a {model.role} needs traffic from 1 to 100")
            if model.role in (Role.CANARY, Role.SHADOW) and self.architecture is ArchitectureKind.BATCH:
                yield Problem(
                    f"models[{index}].role",
                    f"`{model.role}`",
                    f"a {model.role} needs live requests; in a batch workload make it a challenger",
                )
        if self.serving.ensemble and len(self.models_in(Role.CANARY, Role.SHADOW)):
            yield Problem(
                "serving.ensemble",
                f"`{self.serving.ensemble.method}` beside a canary or a shadow",
                "an ensemble answers as a whole; promote its members, or try them as challengers",
            )

    def _wrong_serving(self) -> Iterator[Problem]:
        """Ways of serving that don't go with the architecture, with the models or with one another."""
        modes = sorted(MODES[self.architecture])
        if self.serving.mode not in modes:
            yield Problem(
                "serving.mode",
                f"`{self.serving.mode}`",
                f"a {self.architecture} workload is served by {' or '.join(modes)}",
            )
        replicas = self.serving.replicas
        if replicas.minimum > replicas.maximum:
            yield Problem(
                "serving.replicas.minimum", f"`{replicas.minimum}`", f"at most the maximum, which is {replicas.maximum}"
            )
        if replicas.minimum == 0 and not self.serving.scale_to_zero:
            yield Problem("serving.replicas.minimum", "`0`", "no replicas need `scale_to_zero: true`")
        if self.serving.scale_to_zero and replicas.minimum > 0:
            yield Problem(
                "serving.scale_to_zero",
                "`true`",
                f"scaling to zero needs `replicas: {{minimum: 0}}`, and the minimum is {replicas.minimum}",
            )
        yield from self._wrong_size()
        yield from self._wrong_inference()
        if self.serving.ensemble:
            yield from self._wrong_ensemble(self.serving.ensemble)
        if twice := _twice(tenant.name for tenant in self.serving.tenants):
            yield Problem("serving.tenants", twice, "each tenant is listed once")
        if self.serving.tenants and self.architecture is ArchitectureKind.BATCH:
            yield Problem("serving.tenants", "some", "a batch workload answers no requests; remove them")

    def _wrong_size(self) -> Iterator[Problem]:
        """What sizes instances that answer requests, where there are none, or too little is said."""
        serving = self.serving
        if self.architecture is ArchitectureKind.BATCH:
            for name in ("requests_per_second", "monthly_usd"):
                if (found := getattr(serving, name)) is not None:
                    yield Problem(f"serving.{name}", f"`{found}`", "a batch workload answers no requests; remove it")
            if serving.size == "cheapest":
                yield Problem(
                    "serving.size", "`cheapest`", "a batch workload answers no requests: small, medium or large"
                )
        elif serving.size == "cheapest" and self.monitoring.latency_objective_ms is None:
            yield Problem("monitoring.latency_objective_ms", "nothing", "the size `cheapest` is the one that keeps it")

    def _wrong_inference(self) -> Iterator[Problem]:
        """Kinds of inference that the mode, the models or the replicas rule out."""
        serving = self.serving
        if serving.inference is Inference.PROVISIONED:
            return
        found = f"`{serving.inference}`"
        if self.architecture is ArchitectureKind.BATCH:
            yield Problem("serving.inference", found, "a batch workload answers no requests; remove it")
        if serving.inference is Inference.ASYNCHRONOUS and self.architecture is ArchitectureKind.STREAMING:
            yield Problem("serving.inference", found, "events wait for their score: `provisioned` or `serverless`")
        if serving.inference is Inference.ASYNCHRONOUS and serving.tenants:
            right = "requests are put into a queue by whoever has a right on it, so that nobody holds tenants to a rate"
            yield Problem("serving.tenants", "some, with `asynchronous`", f"none: {right}")
        if self.models_in(Role.CANARY, Role.SHADOW):
            right = "a canary and a shadow need `provisioned`; remove them, or let instances wait"
            yield Problem("serving.inference", found, right)
        for index, tenant in enumerate(serving.tenants):
            if tenant.placement is Placement.DEDICATED:
                right = "instances of a tenant's own are `provisioned`; make it `shared`"
                yield Problem(f"serving.tenants[{index}].placement", f"`dedicated` with {found}", right)

    def _wrong_ensemble(self, ensemble: Ensemble) -> Iterator[Problem]:
        """Members that aren't there, and words that the method doesn't take."""
        names = sorted({model.name for model in self.models if model.tenant is None})
        for index, member in enumerate(ensemble.members):
            if member not in names:
                right = f"a member is one of the models: {', '.join(names)}"
                yield Problem(f"serving.ensemble.members[{index}]", f"`{member}`", right)
        if twice := _twice(ensemble.members):
            yield Problem("serving.ensemble.members", twice, "each member is listed once")
        if (ensemble.method == "stacked") is not (ensemble.stacker is not None):
            found = f"`{ensemble.stacker}`" if ensemble.stacker else "nothing"
            yield Problem("serving.ensemble.stacker", found, "the method `stacked` has one, and no other has")
        elif ensemble.stacker is not None and ensemble.stacker not in names:
            right = f"the model on top is one of the models: {', '.join(names)}"
            yield Problem("serving.ensemble.stacker", f"`{ensemble.stacker}`", right)
        for name in ensemble.weights:
            if name not in ensemble.members:
                yield Problem(f"serving.ensemble.weights.{name}", "a weight", "only members have one")
        if ensemble.weights and not sum(ensemble.weights.get(name, 1.0) for name in ensemble.members):
            yield Problem("serving.ensemble.weights", "0 for all", "some member has more")
        if ensemble.band[0] > ensemble.band[1]:
            yield Problem("serving.ensemble.band", f"`{list(ensemble.band)}`", "a lower and then an upper score")
        if ensemble.least > len(ensemble.members):
            right = f"at most {len(ensemble.members)}, as many as there are members"
            yield Problem("serving.ensemble.least", f"`{ensemble.least}`", right)

    def _wrong_data(self) -> Iterator[Problem]:
        """Columns that the contract doesn't have, and features that the store can't hold side by side."""
        yield from self._wrong_contract()
        columns = self.data.contract.columns
        for field, column in (("data.entity", self.data.entity), ("data.event_time", self.data.event_time)):
            if column not in columns:
                yield Problem(
                    field, f"`{column}`", f"{self.data.contract.path} has the fields {', '.join(columns)} instead"
                )
        names = [feature.name for feature in self.features.definitions]
        if twice := _twice(names):
            yield Problem("features.definitions", twice, "each feature is defined once")
        for index, name in enumerate(names):
            if name in (self.data.entity, self.data.event_time):
                yield Problem(
                    f"features.definitions[{index}].name",
                    f"`{name}`",
                    "the store adds the key and the time of each row itself; remove it",
                )

    def _wrong_contract(self) -> Iterator[Problem]:
        """A version of the contract that its terms refuse, or with which somebody breaks."""
        contract = self.data.contract
        if contract.history is None or contract.version is None:
            return
        terms = contract.history.terms
        if contract.compatibility != terms.compatibility:
            yield Problem(
                "data.contract.compatibility",
                f"`{contract.compatibility}`",
                f"{contract.history.folder / contracts.TERMS} says `{terms.compatibility}`",
            )
        for reason in contract.history.wrong_in_use(contract.version, self.name):
            yield Problem("data.contract.path", f"`{contract.path}`", reason)

    def _wrong_dates(self) -> Iterator[Problem]:
        """Schedules that are missing or in vain, and alerts that repeat one another."""
        schedule = self.serving.schedule
        if self.architecture is not ArchitectureKind.STREAMING and schedule is None:
            yield Problem(
                "serving.schedule",
                "nothing",
                f"a {self.architecture} workload needs a cron schedule for its batch predictions, such as `0 3 * * *`",
            )
        if self.architecture is ArchitectureKind.STREAMING and schedule is not None:
            yield Problem(
                "serving.schedule",
                f"`{schedule}`",
                "a streaming workload predicts when events arrive; remove the schedule",
            )
        trigger, schedule = self.retraining.trigger, self.retraining.schedule
        if trigger != "drift" and schedule is None:
            yield Problem(
                "retraining.schedule", "nothing", f"trigger `{trigger}` needs a cron schedule, such as `0 2 * * 0`"
            )
        if trigger == "drift" and schedule is not None:
            yield Problem(
                "retraining.schedule",
                f"`{schedule}`",
                "trigger `drift` follows no schedule; remove it, or make the trigger `drift_or_schedule`",
            )
        if twice := _twice(str(percent) for percent in self.budget.alert_percent):
            yield Problem("budget.alert_percent", twice, "each percentage is listed once")


def _twice(names: Iterable[str]) -> str:
    """The names that are there more than once, for people to read; empty if there are none."""
    counted = Counter(names)
    return ", ".join(f"`{name}` {count} times" for name, count in counted.items() if count > 1)
