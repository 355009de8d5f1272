"""The settings of a stack: on which cloud, in which environment and in whose network a workload runs."""

import datetime
import json
import os
from dataclasses import replace
from enum import StrEnum
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal, Self

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env
from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.explanations import disagreement, explain, written_as
from ml_blueprints.workload import ArchitectureKind, Classification, Strict, Workload

NAMESPACE = "ml-blueprints"

# What each provider must be told, as its own configuration key, before a first resource can be placed.
_PROVIDER_KEYS = {"aws": ("aws:region",), "gcp": ("gcp:project", "gcp:region"), "azure": ("azure-native:location",)}

# The variables are those that the providers' own configuration pages list.
_PROVIDER_VARIABLES = {
    "aws:region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "gcp:project": ("GOOGLE_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"),
    "gcp:region": ("GOOGLE_REGION", "GCLOUD_REGION", "CLOUDSDK_COMPUTE_REGION"),
    "azure-native:location": (),
}


class Purpose(StrEnum):
    """What an identity is for. Each has rights for this and for nothing else."""

    INGEST = "ingest"
    TRAINING = "training"
    SERVING = "serving"
    MONITORING = "monitoring"
    EXPLORATION = "exploration"


def _ipv4_range(cidr: str) -> str:
    try:
        IPv4Network(cidr)
    except ValueError as error:
        raise PydanticCustomError("cidr", "an IPv4 range is expected: {reason}", {"reason": str(error)}) from None
    return cidr


# The id of something that exists: nobody means an empty text by it.
Id = Annotated[str, Field(min_length=1)]


class Network(Strict):
    """The network of the platform: ours, or one that exists."""

    cidr: Annotated[
        str,
        written_as(
            r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/(1[6-9]|2[0-2])$",
            "an IPv4 range from /16 to /22, as in `10.64.0.0/16`",
            description="IPv4 range, /16 to /22",
        ),
        AfterValidator(_ipv4_range),
    ] = "10.64.0.0/16"
    zones: Annotated[int, Field(ge=2, le=3, description="Availability zones with a private subnet")] = 2
    internet_egress: Annotated[bool, Field(description="Let private subnets reach the internet through NAT")] = False
    existing_network: Annotated[Id | None, Field(description="Id of a network to use instead of a new one")] = None
    existing_subnets: Annotated[tuple[Id, ...], Field(strict=False, description="Ids of its private subnets")] = ()

    @model_validator(mode="after")
    def _existing_is_whole(self) -> Self:
        if self.existing_network is not None and not self.existing_subnets:
            raise disagreement(Problem("network.existing_subnets", "nothing", "an existing network needs its subnets"))
        if self.existing_network is None and self.existing_subnets:
            raise disagreement(Problem("network.existing_network", "nothing", "existing subnets need their network"))
        return self


class Encryption(Strict):
    """The customer-managed key of data at rest: ours, or one that exists."""

    existing_key: Annotated[
        Id | None, Field(description="ARN (AWS), resource name (Google Cloud) or id of a key version (Azure)")
    ] = None
    rotation_days: Annotated[int, Field(ge=90, le=2560, description="Days after which the key rotates")] = 365


class Delivery(Strict):
    """Who may deploy: workflows of one repository, without long-lived keys."""

    provider: Annotated[Literal["github", "gitlab"], Field(description="Where the repository is")] = "github"
    repository: Annotated[
        str,
        written_as(r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+$", "a repository as `owner/name`", description="owner/name"),
    ]
    create_issuer: Annotated[
        bool,
        Field(description="AWS only: register the provider's issuer, which an account has once; else it must exist"),
    ] = False


def _date(text: str) -> str:
    try:
        datetime.date.fromisoformat(text)
    except ValueError as error:
        raise PydanticCustomError("date", "a date is expected: {reason}", {"reason": str(error)}) from None
    return text


class Experiment(Strict):
    """What fences an experiment: it is looser than production, so it sees less, costs less and comes to an end."""

    expires_on: Annotated[
        str,
        written_as(r"^\d{4}-\d{2}-\d{2}$", "a date, as in `2027-01-31`", description="Last day, YYYY-MM-DD, in UTC"),
        AfterValidator(_date),
    ]
    monthly_usd: Annotated[int, Field(gt=0, description="US dollars in a month, in place of the workload's budget")]
    classification: Annotated[Classification, Field(description="The most secret data that it may see")] = "internal"


class Tokens(Strict):
    """Whose tokens tenants bring: an OpenID provider, and what its tokens say."""

    issuer: Annotated[
        str,
        written_as(r"^https://[^\s]+$", "a URL that begins with `https://`", description="Issuer, as tokens name it"),
    ]
    audience: Annotated[Id, Field(description="For whom tokens are, as they name it")]
    keys: Annotated[
        str, written_as(r"^https://[^\s]+$", "a URL that begins with `https://`", description="URL of its keys (JWKS)")
    ]
    claim: Annotated[Id, Field(description="The claim with the tenant's name")] = "tenant"


class Settings(Strict):
    """What a stack's configuration says beside the workload."""

    cloud: Annotated[Literal["aws", "gcp", "azure"], Field(description="Where the platform is built")]
    architecture: Annotated[
        ArchitectureKind,
        Field(strict=False, description="The reference architecture; the workload must be made for it"),
    ]
    environment: Annotated[
        Literal["experiment", "staging", "production"], Field(description="What the stack is used for")
    ]
    workload: Annotated[str, Field(description="Workload file, relative to the program")]
    serving_image: Annotated[
        str,
        written_as(
            r"^[a-z0-9./_:-]+@sha256:[0-9a-f]{64}$",
            "an image by digest, `name@sha256:` and 64 hexadecimal digits",
            description="Image by digest: `name@sha256:...` in the platform's own repository, or a whole reference",
        ),
    ]
    network: Network = Network()
    encryption: Encryption = Encryption()
    identities: Annotated[
        dict[Annotated[Purpose, Field(strict=False)], Id],
        Field(default_factory=dict, description="Existing identities by purpose, to use instead of new ones"),
    ]
    delivery: Delivery
    experiment: Annotated[
        Experiment | None, Field(description="The fence of an experiment; needed there, and nowhere else")
    ] = None
    trusted_keys: Annotated[
        tuple[
            Annotated[
                str,
                written_as(
                    r"^ed25519:[A-Za-z0-9+/]{43}=$",
                    "an Ed25519 key, `ed25519:` and its 32 bytes in base64",
                    description="Public key that may have signed a model",
                ),
            ],
            ...,
        ],
        Field(strict=False, description="Whose models are taken; needed but in an experiment (docs/training.md)"),
    ] = ()
    tokens: Annotated[
        Tokens | None, Field(description="Whose tokens tenants bring; needed where the workload has tenants")
    ] = None
    public_api: Annotated[bool, Field(description="Let the API of tenants be reached from the internet")] = False
    workbench_users: Annotated[
        dict[
            Annotated[
                str,
                written_as(
                    r"^[a-z][a-z0-9-]{0,14}[a-z0-9]$",
                    "2 to 16 lower case letters, digits and `-`, a letter first",
                    description="Name",
                ),
            ],
            Id,
        ],
        Field(
            default_factory=dict,
            description="People with a notebook by name: who each is (user of IAM Identity Center, Google e-mail, "
            "Entra object id)",
        ),
    ]
    promotes_to: Annotated[
        tuple[Id, ...],
        Field(
            strict=False,
            description="Who may take registered models into the next environment (AWS account, Google service account "
            "e-mail, Entra object id)",
        ),
    ] = ()

    @model_validator(mode="after")
    def _environment_is_whole(self) -> Self:
        if self.environment == "experiment" and self.experiment is None:
            right = "an experiment has a fence: `experiment: {expires_on: 2027-01-31, monthly_usd: 200}`"
            raise disagreement(Problem("experiment", "nothing", right))
        if self.environment != "experiment":
            if self.experiment is not None:
                raise disagreement(Problem("experiment", "a fence", f"`{self.environment}` is no experiment"))
            if not self.trusted_keys:
                right = f"models in `{self.environment}` are signed: name the keys that may have"
                raise disagreement(Problem("trusted_keys", "nothing", right))
        return self

    def check(self, workload: Workload) -> None:
        """Raises BlueprintError for what the workload needs of a stack's settings, and isn't there."""
        if workload.serving.tenants and self.tokens is None:
            right = "tenants are known by tokens: `tokens: {issuer: ..., audience: ..., keys: ...}`"
            problem = Problem(f"{NAMESPACE}:tokens", "nothing", right)
            raise BlueprintError(f"settings of workload {workload.name}", [problem])

    @classmethod
    def from_config(cls) -> Self:
        """The settings of the stack that is being deployed. Raises BlueprintError with every key that is wrong."""
        stack = f"Pulumi.{pulumi.get_stack()}.yaml"
        try:
            settings = cls.model_validate(_own_config())
        except ValidationError as error:
            raise BlueprintError(stack, [_as_key(problem) for problem in explain(error)]) from None
        missing = [key for key in _PROVIDER_KEYS[settings.cloud] if not _provider_value(key)]
        if missing:
            raise BlueprintError(
                stack,
                [
                    Problem(key, "nothing", f"the {settings.cloud} provider needs it: `pulumi config set {key} ...`")
                    for key in missing
                ],
            )
        return settings


def _own_config() -> dict[str, Any]:
    """All keys of our namespace, so that unknown ones are refused; Pulumi hands objects over as JSON text."""
    return {
        key.removeprefix(f"{NAMESPACE}:"): _parsed(value)
        for key, value in (get_config_env() | CONFIG.get()).items()
        if key.startswith(f"{NAMESPACE}:")
    }


def _parsed(value: Any) -> Any:
    """An object or a truth value that was handed over as text; any other value, and what begins like one, as it is."""
    if not isinstance(value, str) or not (value in ("true", "false") or value.startswith(("{", "["))):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _provider_value(key: str) -> str | None:
    """A provider's own setting, from the stack's configuration or from the variables that the provider itself reads."""
    namespace, name = key.split(":")
    return pulumi.Config(namespace).get(name) or next(filter(None, map(os.environ.get, _PROVIDER_VARIABLES[key])), None)


def _as_key(problem: Problem) -> Problem:
    return replace(problem, field=f"{NAMESPACE}:{problem.field}")
