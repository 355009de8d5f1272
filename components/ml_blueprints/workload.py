"""The workload: what is wanted of an ML platform, in one file that names no cloud.

The same file feeds the stacks of all clouds. `Workload.load` reads and validates it; whatever is wrong is said at once,
with the file, the field, the value that was found and what would be right.
"""

import json
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from ml_blueprints import schedules
from ml_blueprints.errors import BlueprintError, Problem


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


MODES: Mapping[ArchitectureKind, frozenset[Mode]] = {
    ArchitectureKind.STREAMING: frozenset({Mode.STREAM, Mode.REAL_TIME}),
    ArchitectureKind.BATCH: frozenset({Mode.BATCH}),
    ArchitectureKind.HYBRID: frozenset({Mode.REAL_TIME}),
}


def _cron(expression: str) -> str:
    try:
        schedules.parse(expression)
    except ValueError as error:
        raise PydanticCustomError("cron", "{reason}", {"reason": str(error)}) from None
    return expression


# Names become part of resource names on every cloud, so they keep to what all of them take.
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]
Column = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Version = Annotated[str, Field(pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$")]
Cron = Annotated[str, BeforeValidator(lambda value: _cron(value) if isinstance(value, str) else value)]


class Strict(BaseModel):
    """A part of a definition: unknown fields are refused, types are not coerced, nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Contract(Strict):
    """The schema of the events or rows that come in, as an Avro record, and how it may change."""

    path: Annotated[str, Field(description="Avro schema file, relative to the workload file")]
    compatibility: Literal["BACKWARD", "BACKWARD_ALL", "FORWARD", "FORWARD_ALL", "FULL", "FULL_ALL"] = "BACKWARD"
    _record: dict[str, Any] = PrivateAttr()

    @property
    def record(self) -> dict[str, Any]:
        """The Avro record that the file holds."""
        return self._record

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the record's fields, in their order."""
        return tuple(field["name"] for field in self._record["fields"])

    @model_validator(mode="after")
    def _read(self, info: ValidationInfo) -> Self:
        path = (info.context or {}).get("directory", Path()) / self.path
        try:
            schema = json.loads(path.read_text(encoding="utf-8"))
        except OSError:
            raise _disagreement("data.contract.path", f"no file is at {path}") from None
        except ValueError as error:
            raise _disagreement("data.contract.path", f"an Avro schema is JSON, and {path} is not: {error}") from None
        if not (
            isinstance(schema, dict)
            and schema.get("type") == "record"
            and isinstance(schema.get("fields"), list)
            and schema["fields"]
            and all(isinstance(field, dict) and {"name", "type"} <= field.keys() for field in schema["fields"])
        ):
            raise _disagreement("data.contract.path", f"{path} should hold an Avro record with at least one field")
        self._record = schema
        return self


class Data(Strict):
    """Where the data comes from and how it must be treated."""

    contract: Contract
    entity: Annotated[Column, Field(description="Field of the contract that identifies whom a prediction is about")]
    event_time: Annotated[Column, Field(description="Field of the contract that says when it happened")]
    classification: Literal["public", "internal", "confidential", "restricted"]
    retention_days: Annotated[int, Field(ge=1, le=3650)]
    events_per_second: Annotated[int, Field(ge=1, le=100_000, description="Expected peak; sizes the event stream")] = (
        100
    )


class Feature(Strict):
    """One feature of the entity, as the feature store holds it."""

    name: Column
    type: Literal["integer", "float", "string", "boolean"]
    description: str = ""


class Features(Strict):
    """The group of features that the models read."""

    group: Column
    definitions: Annotated[tuple[Feature, ...], Field(min_length=1, max_length=500, strict=False)]
    online_ttl_hours: Annotated[int, Field(ge=1, le=8760, description="How long a value may be served online")] = 168


class Model(Strict):
    """One version of one model, and what it is deployed for. Promotion is a change of this line."""

    name: Name
    version: Version
    role: Annotated[Role, Field(strict=False)]
    traffic: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Percent of requests; champion and canary share 100, a shadow sees copies of its percent",
        ),
    ] = 0


class Replicas(Strict):
    """Bounds of autoscaling, in instances."""

    minimum: Annotated[int, Field(ge=0, le=100)] = 1
    maximum: Annotated[int, Field(ge=1, le=100)] = 2


class Ensemble(Strict):
    """Several models that answer as one."""

    method: Literal["vote", "weighted_mean", "cascade"]
    members: Annotated[
        tuple[Name, ...], Field(min_length=2, strict=False, description="Names of models, cheapest first")
    ]


class Tenant(Strict):
    """A consumer with a quota of its own."""

    name: Name
    requests_per_second: Annotated[int, Field(ge=1, le=100_000)]


class Serving(Strict):
    """How predictions are served."""

    mode: Annotated[Mode, Field(strict=False)]
    size: Literal["small", "medium", "large"] = "small"
    replicas: Replicas = Replicas()
    scale_to_zero: bool = False
    schedule: Annotated[Cron | None, Field(description="When batch predictions are made; UTC")] = None
    ensemble: Ensemble | None = None
    tenants: Annotated[tuple[Tenant, ...], Field(strict=False)] = ()


class Drift(Strict):
    """When the data counts as changed."""

    metric: Literal["population_stability_index", "kolmogorov_smirnov", "jensen_shannon", "wasserstein"] = (
        "population_stability_index"
    )
    threshold: Annotated[float, Field(gt=0, strict=False)] = 0.2
    schedule: Annotated[
        str,
        Field(
            pattern=r"^0 (\*|\*/([2-9]|1[0-2])|1?\d|2[0-3]) \* \* \*$",
            description="Hourly, every n hours, or daily; UTC. SageMaker's monitoring schedules take no other",
        ),
    ] = "0 * * * *"


class Monitoring(Strict):
    """What is watched, and what is promised."""

    drift: Drift = Drift()
    latency_objective_ms: Annotated[int | None, Field(ge=1, le=60_000, description="p99 of a request")] = None
    error_rate_objective: Annotated[
        float, Field(gt=0, lt=1, strict=False, description="Share of requests that may fail")
    ] = 0.01


class Retraining(Strict):
    """What starts a new training run."""

    trigger: Literal["drift", "schedule", "drift_or_schedule"]
    schedule: Cron | None = None


class Budget(Strict):
    """What the platform may cost."""

    monthly_usd: Annotated[int, Field(gt=0)]
    alert_percent: Annotated[tuple[Annotated[int, Field(ge=1, le=100)], ...], Field(min_length=1, strict=False)] = (
        50,
        80,
        100,
    )


class Workload(Strict):
    """What is wanted of an ML platform: data, features, models, serving, monitoring, retraining and budget."""

    name: Name
    description: str
    owner: Annotated[
        str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", description="E-mail address of the team that answers for it")
    ]
    architecture: Annotated[ArchitectureKind, Field(strict=False)]
    data: Data
    features: Features
    models: Annotated[tuple[Model, ...], Field(min_length=1, strict=False)]
    serving: Serving
    monitoring: Monitoring = Monitoring()
    retraining: Retraining
    budget: Budget

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a workload file. Raises BlueprintError with every field that is wrong."""
        path = Path(path)
        try:
            return cls.model_validate(_read_yaml(path), context={"directory": path.parent})
        except ValidationError as error:
            raise BlueprintError(str(path), [explain(detail) for detail in error.errors()]) from None

    @property
    def champion(self) -> Model:
        """The one model version whose answers count."""
        return next(model for model in self.models if model.role is Role.CHAMPION)

    def models_in(self, *roles: Role) -> tuple[Model, ...]:
        """The model versions with one of these roles, in the order of the file."""
        return tuple(model for model in self.models if model.role in roles)

    @field_validator("models")
    @classmethod
    def _roles_and_traffic(cls, models: tuple[Model, ...]) -> tuple[Model, ...]:
        champions = [f"{model.name} {model.version}" for model in models if model.role is Role.CHAMPION]
        if len(champions) != 1:
            found = ", ".join(champions) or "none"
            raise PydanticCustomError(
                "champion", "exactly one model has the role champion, here: {found}", {"found": found}
            )
        seen: set[tuple[str, str]] = set()
        for model in models:
            if (model.name, model.version) in seen:
                raise PydanticCustomError(
                    "twice", "{model} is listed twice", {"model": f"{model.name} {model.version}"}
                )
            seen.add((model.name, model.version))
            if model.role is Role.CHALLENGER and model.traffic:
                raise PydanticCustomError(
                    "challenger",
                    "challenger {name} takes no traffic; make it a canary or a shadow",
                    {"name": model.name},
                )
            if model.role in (Role.CANARY, Role.SHADOW) and not model.traffic:
                raise PydanticCustomError(
                    "no_traffic",
                    "{role} {name} needs traffic from 1 to 100",
                    {"role": model.role.value, "name": model.name},
                )
        live = sum(model.traffic for model in models if model.role in (Role.CHAMPION, Role.CANARY))
        if live != 100:
            raise PydanticCustomError(
                "traffic", "traffic of champion and canaries adds up to 100, not {live}", {"live": live}
            )
        return models

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        for field, reason in self._disagreements():
            raise _disagreement(field, reason)
        return self

    def _disagreements(self) -> Iterator[tuple[str, str]]:
        """Fields that are right by themselves but not beside the others, each with what would be right."""
        modes = sorted(MODES[self.architecture])
        if self.serving.mode not in modes:
            yield (
                "serving.mode",
                f"a {self.architecture} workload is served by {' or '.join(modes)}, not {self.serving.mode}",
            )
        if self.architecture is ArchitectureKind.BATCH:
            if live := self.models_in(Role.CANARY, Role.SHADOW):
                yield (
                    "models",
                    f"{live[0].role} {live[0].name} needs live requests; in a batch workload make it a challenger",
                )
            if self.serving.schedule is None:
                yield (
                    "serving.schedule",
                    "a batch workload needs a cron schedule for its predictions, such as `0 3 * * *`",
                )
        elif self.architecture is ArchitectureKind.STREAMING and self.serving.schedule is not None:
            yield "serving.schedule", "a streaming workload predicts when events arrive; remove the schedule"
        replicas = self.serving.replicas
        if replicas.minimum > replicas.maximum:
            yield "serving.replicas", f"minimum {replicas.minimum} is above maximum {replicas.maximum}"
        if replicas.minimum == 0 and not self.serving.scale_to_zero:
            yield "serving.replicas.minimum", "0 replicas need `scale_to_zero: true`"
        if self.serving.scale_to_zero and replicas.minimum > 0:
            yield "serving.scale_to_zero", f"scaling to zero needs `replicas.minimum: 0`, not {replicas.minimum}"
        if self.serving.ensemble:
            names = {model.name for model in self.models}
            for member in self.serving.ensemble.members:
                if member not in names:
                    yield "serving.ensemble.members", f"`{member}` is not among the models {sorted(names)}"
        tenants = [tenant.name for tenant in self.serving.tenants]
        if len(tenants) != len(set(tenants)):
            yield "serving.tenants", f"each tenant is listed once, not {tenants}"
        names = [feature.name for feature in self.features.definitions]
        if len(names) != len(set(names)):
            yield (
                "features.definitions",
                f"each feature is defined once; twice: {sorted({name for name in names if names.count(name) > 1})}",
            )
        columns = self.data.contract.columns
        for field, column in (("data.entity", self.data.entity), ("data.event_time", self.data.event_time)):
            if column not in columns:
                yield field, f"`{column}` is not a field of {self.data.contract.path}, which has {', '.join(columns)}"
        if clash := set(names) & {self.data.entity, self.data.event_time}:
            yield (
                "features.definitions",
                f"the store adds {sorted(clash)} itself, as the key or the time of each row; remove it",
            )
        if "schedule" in self.retraining.trigger and self.retraining.schedule is None:
            yield (
                "retraining.schedule",
                f"trigger `{self.retraining.trigger}` needs a cron schedule, such as `0 2 * * 0`",
            )


class _NoDuplicates(yaml.SafeLoader):
    """YAML that refuses a key that is written twice, where PyYAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the field `{key.value}` is written twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_NoDuplicates)  # noqa: S506 (a SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise BlueprintError(
            str(path), [Problem("(file)", str(error), "a workload file in UTF-8 is expected here")]
        ) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise BlueprintError(
            str(path), [Problem(f"line {line}", str(error.problem), "a workload is written in YAML")]
        ) from None
    if not isinstance(content, dict):
        raise BlueprintError(
            str(path),
            [Problem("(file)", type(content).__name__, "a workload is a YAML mapping that begins with `name:`")],
        )
    return content


def _disagreement(field: str, reason: str) -> PydanticCustomError:
    """An error of a field that only shows beside other fields or files; `explain` names that field."""
    return PydanticCustomError("disagreement", "{reason}", {"reason": reason, "field": field})


def explain(detail: ErrorDetails) -> Problem:
    """Turn one of Pydantic's errors into ours: the path as the user wrote it, the value, and what would be right."""
    context = detail.get("ctx", {})
    where = context.get("field") or re.sub(r"\.(\d+)", r"[\1]", ".".join(str(part) for part in detail["loc"]))
    found = "nothing" if detail["type"] == "missing" else _brief(detail["input"])
    match detail["type"]:
        case "missing":
            right = "this field is required"
        case "extra_forbidden":
            right = "there is no such field; remove it or correct its name"
        case "enum" | "literal_error":
            right = f"one of {context['expected']} is expected"
        case "string_pattern_mismatch":
            right = f"text that matches {context['pattern']} is expected"
        case _:
            message = detail["msg"]
            right = message[0].lower() + message[1:]
    return Problem(where or "(file)", found, right)


def _brief(value: object) -> str:
    if isinstance(value, BaseModel):
        return "this combination"
    text = json.dumps(value, default=str)
    return f"`{text if len(text) <= 80 else text[:77] + '...'}`"
