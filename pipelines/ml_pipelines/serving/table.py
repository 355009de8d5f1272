"""The routing table: which versions run for whom with which shares, how they answer as one, and who may ask how much.

The stacks write its first fields (`ml_blueprints.routing`). The others may be given in a file of one's own:

- `fields`: those of the contract. A request may bring them although no model takes them, as the event processor does;
- a model's `tenant`: it answers this tenant's requests alone; a tenant without models of its own has the shared ones;
- a tenant as `{requests_per_second, requests_per_day, concurrency, namespace}` instead of its rate. `namespace` is put
  before entities in the feature store: by default the tenant's name, so that none reads what is another's; `""` is the
  shared one;
- an ensemble's `weights` by member, `band` (of a cascade), `stacker` (the model on top), `least` (how many members must
  answer) and `timeout_ms`;
- `guard`: `{error_rate, latency_ms}`, beyond which a canary is withdrawn.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self


class TableError(ValueError):
    """A routing table that can't be used; the message names the field."""


class Role(StrEnum):
    """What a version is deployed for."""

    CHAMPION = "champion"
    CANARY = "canary"
    SHADOW = "shadow"
    MEMBER = "member"


class Method(StrEnum):
    """How several answers become one."""

    VOTE = "vote"
    WEIGHTED_MEAN = "weighted_mean"
    STACKED = "stacked"
    CASCADE = "cascade"


@dataclass(frozen=True)
class Entry:
    """A version that runs. `traffic` is its percent of the requests, or for a shadow of the copies that it sees."""

    name: str
    version: str
    role: Role
    traffic: float
    tenant: str | None = None

    @property
    def key(self) -> str:
        """Name and version in one word."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True)
class Ensemble:
    """Several models that answer as one; members are names of models, cheapest first."""

    method: Method
    members: tuple[str, ...]
    weights: Mapping[str, float] = field(default_factory=dict)
    band: tuple[float, float] = (0.2, 0.8)
    stacker: str | None = None
    least: int = 1
    timeout: float = 0.5


@dataclass(frozen=True)
class Tenant:
    """Who may ask, how often in a second, how many requests at a time, and where its entities' features are."""

    name: str
    requests_per_second: float
    concurrency: int
    namespace: str
    requests_per_day: float | None = None


@dataclass(frozen=True)
class Guard:
    """What a canary is held to: the share of its requests that may fail, and its mean time."""

    error_rate: float = 0.01
    latency_ms: float | None = None


@dataclass(frozen=True)
class Table:
    """A routing table that holds together."""

    workload: str
    entity: str
    features: frozenset[str]
    fields: frozenset[str]
    models: tuple[Entry, ...]
    ensemble: Ensemble | None
    tenants: Mapping[str, Tenant]
    guard: Guard

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Of JSON. Raises TableError."""
        try:
            said = json.loads(text)
        except ValueError as error:
            raise TableError(f"the routing table isn't JSON: {error}") from error
        if not isinstance(said, dict):
            raise TableError("the routing table is an object in JSON")
        tenants = {name: _tenant(name, value) for name, value in _of(said, "tenants", dict, {}).items()}
        listed = _of(said, "models", list)
        models = tuple(_entry(f"models[{place}]", item, tenants) for place, item in enumerate(listed))
        if not models:
            raise TableError("models: found none; a service has a version to serve")
        if len({entry.key for entry in models}) < len(models):
            raise TableError("models: a version is named twice")
        ensemble = _of(said, "ensemble", (dict, type(None)), None)
        guard = _of(said, "guard", dict, {})
        return cls(
            workload=_of(said, "workload", str),
            entity=_of(said, "entity", str),
            features=frozenset(_of(said, "features", list, [])),
            fields=frozenset(_of(said, "fields", list, [])),
            models=models,
            ensemble=_ensemble(ensemble, {entry.name for entry in models}) if ensemble else None,
            tenants=tenants,
            guard=Guard(
                _number("guard", guard, "error_rate", Guard.error_rate),
                _number("guard", guard, "latency_ms", None),
            ),
        )

    @property
    def namespaces(self) -> frozenset[str]:
        """Those of tenants with features of their own."""
        return frozenset(tenant.namespace for tenant in self.tenants.values() if tenant.namespace)

    def serving(self, tenant: str | None) -> tuple[Entry, ...]:
        """The versions that a tenant has: its own, or without any the shared ones."""
        own = tuple(entry for entry in self.models if entry.tenant == tenant) if tenant is not None else ()
        return own or tuple(entry for entry in self.models if entry.tenant is None)


def _of(said: Mapping[str, Any], name: str, kind: Any, default: Any = ..., where: str = "") -> Any:
    value = said.get(name, default)
    if value is ...:
        raise TableError(f"{where}{name}: is missing")
    if not isinstance(value, kind):
        raise TableError(f"{where}{name}: found {json.dumps(value)}, which is of another type than it should be")
    return value


def _number(where: str, said: Mapping[str, Any], name: str, default: Any = ..., least: float = 0) -> Any:
    value = said.get(name, default)
    if value is None and default is None:
        return None
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= least
    if not good:
        found = "nothing" if value is ... else json.dumps(value)
        raise TableError(f"{where}.{name}: found {found}; a number from {least:g} on is right")
    return value


def _entry(where: str, said: Any, tenants: Mapping[str, Tenant]) -> Entry:
    if not isinstance(said, dict):
        raise TableError(f"{where}: is an object with name, version, role and traffic")
    name, version = (_of(said, part, str, where=f"{where}.") for part in ("name", "version"))
    if not name or {"/", "\\"} & set(name + version) or ".." in (name, version):
        raise TableError(f"{where}.name: found `{name}/{version}`, which is no place of a model")
    role = said.get("role")
    if role not in set(Role):
        raise TableError(f"{where}.role: found {json.dumps(role)}; one of {', '.join(Role)} is right")
    tenant = _of(said, "tenant", (str, type(None)), None, where=f"{where}.")
    if tenant is not None and tenant not in tenants:
        raise TableError(f"{where}.tenant: found `{tenant}`, which isn't among the tenants")
    return Entry(name, version, Role(role), _number(where, said, "traffic", 0), tenant)


def _tenant(name: str, said: Any) -> Tenant:
    if not isinstance(said, dict):
        said = {"requests_per_second": said}
    where = f"tenants.{name}"
    rate = _number(where, said, "requests_per_second")
    # As many at a time as arrive in a tenth of a second: more only wait for each other.
    concurrency = int(_number(where, said, "concurrency", max(4, math.ceil(rate / 10)), least=1))
    namespace = _of(said, "namespace", str, name, where=f"{where}.")
    if "/" in namespace:
        raise TableError(f"{where}.namespace: found `{namespace}`; a word without `/` is right")
    return Tenant(name, rate, concurrency, namespace, _number(where, said, "requests_per_day", None))


def _ensemble(said: Mapping[str, Any], there: set[str]) -> Ensemble:
    method = said.get("method")
    if method not in set(Method):
        raise TableError(f"ensemble.method: found {json.dumps(method)}; one of {', '.join(Method)} is right")
    members: Sequence[str] = _of(said, "members", list, where="ensemble.")
    if len(members) < 2 or len(set(members)) < len(members):
        raise TableError("ensemble.members: two different models or more are right")
    stacker = said.get("stacker")
    if (method == Method.STACKED) is not (stacker is not None):
        raise TableError("ensemble.stacker: the method `stacked` has one, and no other has")
    for name in (*members, *([stacker] if stacker else [])):
        if name not in there:
            raise TableError(f"ensemble.members: `{name}` isn't among the models")
    weights = {name: _number("ensemble.weights", _of(said, "weights", dict, {}), name, 1.0) for name in members}
    if not sum(weights.values()):
        raise TableError("ensemble.weights: all are 0")
    band = said.get("band", Ensemble.band)
    if len(band) != 2 or not all(isinstance(end, int | float) for end in band) or band[0] > band[1]:
        raise TableError(f"ensemble.band: found {json.dumps(band)}; a lower and an upper score are right")
    least = int(_number("ensemble", said, "least", 1, least=1))
    if least > len(members):
        raise TableError(f"ensemble.least: found {least}; there are {len(members)} members")
    return Ensemble(
        Method(method),
        tuple(members),
        weights,
        (float(band[0]), float(band[1])),
        stacker,
        least,
        _number("ensemble", said, "timeout_ms", 1000 * Ensemble.timeout, least=1) / 1000,
    )
