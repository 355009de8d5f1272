"""What the service is told by its environment. docs/serving.md lists the variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

from ml_pipelines.scoring_endpoint import Endpoint, EndpointError
from ml_pipelines.serving import workers
from ml_pipelines.serving.captured import EVERY_SECONDS
from ml_pipelines.serving.table import Table, TableError
from ml_pipelines.serving.trust import Trust
from ml_pipelines.steps import manifest

ROUTING, ROUTING_FILE = "ML_BLUEPRINTS_ROUTING", "ML_BLUEPRINTS_ROUTING_FILE"
ENDPOINT, BEHIND_ROUTER, TENANT_FROM = "SCORING_ENDPOINT", "BEHIND_ROUTER", "TENANT_FROM"

MEBIBYTE = 2**20


class Teller(StrEnum):
    """Who has verified a tenant's token in front of the service, which no one else can reach then."""

    AUTHORIZER = "authorizer"
    GATEWAY = "gateway"


class SettingError(ValueError):
    """A variable that is missing or wrong; the message names it and says what would be right."""


@dataclass(frozen=True)
class Issuer:
    """Whose tokens tenants bring. `keys` is a URL of JWKS or a file, `claim` where the tenant's name is."""

    issuer: str
    audience: str
    keys: str
    claim: str

    @classmethod
    def read(cls, variables: Mapping[str, str] = os.environ, keys: bool = True) -> Self | None:
        """What TOKEN_ISSUER and the variables beside it say; None where none is set. Raises SettingError.

        keys: whether they are needed, since it is here that signatures are verified.
        """
        names = ("TOKEN_ISSUER", "TOKEN_AUDIENCE", *(("TOKEN_KEYS",) if keys else ()))
        given = [variables.get(name) for name in names]
        if not any(given):
            return None
        if missing := [name for name, value in zip(names, given, strict=True) if not value]:
            together = ", ".join(names)
            raise SettingError(f"{', '.join(missing)}: found nothing; {together} are set together or not at all")
        issuer, audience = (value or "" for value in given[:2])
        return cls(issuer, audience, variables.get("TOKEN_KEYS", ""), variables.get("TOKEN_CLAIM") or "tenant")


@dataclass(frozen=True)
class Settings:
    """The variables, read. `health` and `predict` are the routes that Vertex AI asks for.

    `endpoints` make the service a router, which asks them instead of models: by tenant, and under None that of all who
    have none of their own. `workers` is how many processes there are, of which this is one. `behind_router`: whoever
    reaches this container is let in by the platform, and is our router or event processor, which tells the tenant.
    `teller` is who has verified tenants' tokens in front of it. `answer_rows`: answers are kept where they are put, and
    so hold what would be kept of them.
    """

    table: Table
    routing_file: Path | None
    trust: Trust
    issuer: Issuer | None
    feature_store: str | None
    captured: str | None
    answers: str | None
    captured_seconds: float
    answer_rows: bool
    port: int
    metrics_port: int | None
    health: str | None
    predict: str | None
    sagemaker: bool
    azure: bool
    body_bytes: int
    body_seconds: float
    drain_seconds: float
    workers: int = 1
    behind_router: bool = False
    teller: Teller | None = None
    endpoints: Mapping[str | None, Endpoint] = field(default_factory=dict)

    @classmethod
    def read(cls, variables: Mapping[str, str] = os.environ) -> Self:
        """Raises SettingError."""
        file = Path(variables[ROUTING_FILE]) if variables.get(ROUTING_FILE) else None
        text = _table(variables)
        if file is not None:
            try:
                text = file.read_text(encoding="utf-8")
            except OSError as error:
                raise SettingError(f"{ROUTING_FILE}: {file} can't be read: {error.strerror}") from error
        if not text:
            raise SettingError(
                f"{ROUTING}: found nothing; a routing table, or a file of one in {ROUTING_FILE}, is right"
            )
        try:
            table = Table.parse(text)
        except TableError as error:
            raise SettingError(f"{ROUTING_FILE if file else ROUTING}: {error}") from error
        teller, behind_router = _teller(variables), variables.get(BEHIND_ROUTER, "") == "1"
        issuer = Issuer.read(variables, keys=teller is not Teller.GATEWAY)
        endpoints = _endpoints(variables, table)
        if behind_router and (issuer is not None or endpoints or teller):
            beside = ENDPOINT if endpoints else TENANT_FROM if teller else "TOKEN_ISSUER"
            raise SettingError(
                f"{BEHIND_ROUTER}: found `1` beside {beside}; a container that is behind a router is none"
            )
        if table.tenants and issuer is None and not behind_router and teller is not Teller.AUTHORIZER:
            raise SettingError("TOKEN_ISSUER: found nothing; tenants are known by tokens, whose issuer is to be named")
        return cls(
            table=table,
            routing_file=file,
            # A router loads no model.
            trust=Trust() if endpoints else trusted(variables),
            issuer=issuer,
            feature_store=variables.get("FEATURE_STORE") or None,
            captured=variables.get("CAPTURED") or None,
            answers=variables.get("ANSWERS") or None,
            captured_seconds=_number(variables, "CAPTURED_SECONDS", EVERY_SECONDS),
            answer_rows=variables.get("ANSWER_ROWS", "") == "1",
            port=int(_number(variables, "AIP_HTTP_PORT", _number(variables, "PORT", 8080))),
            metrics_port=int(_number(variables, "METRICS_PORT", 0)) or None,
            health=variables.get("AIP_HEALTH_ROUTE") or None,
            predict=variables.get("AIP_PREDICT_ROUTE") or None,
            sagemaker=variables.get("SAGEMAKER", "") == "1" or Path("/opt/ml/model").is_dir(),
            azure=bool(variables.get("AZUREML_MODEL_DIR")),
            body_bytes=int(_number(variables, "BODY_MEGABYTES", 6) * MEBIBYTE),
            body_seconds=_number(variables, "BODY_SECONDS", 5),
            drain_seconds=_number(variables, "DRAIN_SECONDS", 5),
            workers=max(1, int(_number(variables, "WORKERS", workers.processors()))),
            behind_router=behind_router,
            teller=teller,
            endpoints=endpoints,
        )


def _teller(variables: Mapping[str, str]) -> Teller | None:
    said = variables.get(TENANT_FROM)
    if said and said not in set(Teller):
        raise SettingError(f"{TENANT_FROM}: found `{said}`; nothing, or one of {', '.join(Teller)}, is right")
    return Teller(said) if said else None


def _table(variables: Mapping[str, str]) -> str:
    """The routing table of its variable and of those that go on where one is too short for it."""
    parts, name = [variables.get(ROUTING, "")], f"{ROUTING}_2"
    while name in variables:
        parts.append(variables[name])
        name = f"{ROUTING}_{len(parts) + 1}"
    return "".join(parts)


def _endpoints(variables: Mapping[str, str], table: Table) -> dict[str | None, Endpoint]:
    """SCORING_ENDPOINT, and for tenants with instances of their own SCORING_ENDPOINT_ and their name in capitals."""
    names: dict[str, str | None] = {ENDPOINT: None}
    names |= {f"{ENDPOINT}_{tenant.upper().replace('-', '_')}": tenant for tenant in table.tenants}
    found = {name: value for name, value in variables.items() if name.startswith(ENDPOINT) and value}
    if unknown := found.keys() - names.keys():
        raise SettingError(f"{min(unknown)}: there is no such tenant; {', '.join(names)} may be set")
    if found and ENDPOINT not in found:
        raise SettingError(f"{ENDPOINT}: found nothing beside {min(found)}; those without one of their own need it")
    endpoints: dict[str | None, Endpoint] = {}
    for name, value in found.items():
        try:
            endpoints[names[name]] = Endpoint.named(value)
        except EndpointError as error:
            raise SettingError(f"{name}: {error}") from error
    return endpoints


def _number(variables: Mapping[str, str], name: str, default: float) -> float:
    text = variables.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise SettingError(f"{name}: found `{text}`; a number from 0 on is right")
    return value


def trusted(variables: Mapping[str, str]) -> Trust:
    """Whose models are loaded, by ENVIRONMENT and TRUSTED_KEYS. Raises SettingError."""
    environment = variables.get("ENVIRONMENT") or "production"
    if environment not in manifest.ENVIRONMENTS:
        raise SettingError(f"ENVIRONMENT: found `{environment}`; one of {', '.join(manifest.ENVIRONMENTS)} is right")
    words = [word for word in variables.get("TRUSTED_KEYS", "").split(",") if word and word != "none"]
    try:
        keys = [manifest.public_key(word) for word in words]
    except manifest.ManifestError as error:
        raise SettingError(f"TRUSTED_KEYS: {error}") from error
    if not keys and environment != manifest.EXPERIMENT:
        raise SettingError(f"TRUSTED_KEYS: found nothing; environment `{environment}` serves signed models only")
    return Trust(keys, unsigned=environment == manifest.EXPERIMENT)
