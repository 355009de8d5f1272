"""Secrets where everybody can read them: what looks like one in environment variables, arguments and scripts."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_policies.checks import Result, Scope, Undecided, Wrong
from ml_policies.resource import MISSING, UNKNOWN

# Texts that are a secret whatever their name: keys of AWS, Google and Azure, private keys, and tokens of services
# (forms as in https://github.com/gitleaks/gitleaks/blob/master/config/gitleaks.toml).
_SECRET = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bAIza[\w-]{35}\b"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b(?:AccountKey|SharedAccessKey|SharedAccessSignature|Password|Pwd)=[^;\s]{8,}"
    r"|[?&]sig=[\w%+/=-]{20,}"
    r"|\bgh[opsur]_\w{36}|\bgithub_pat_\w{22,}|\bglpat-[\w-]{20}"
    r"|\bhf_[A-Za-z]{30,}|\bsk-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}"
    r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+"
    r"|://[^/\s:@]+:[^/\s:@{$]{3,}@",
)

# Names that say of a value that it is a secret, by their last words.
_NAMES_SECRET = re.compile(
    r"(?:.*[_.-])?(?:password|passwd|passphrase|pwd|secret|token|credentials?|api_?key|access_?key|secret_?key"
    r"|private_?key|account_?key|shared_?key|signing_?key|auth_?key|encryption_?key|connection_?string)",
    re.IGNORECASE,
)
# Tokens of a language, not of a login.
_NAMES_TOKEN_OF_TEXT = re.compile(
    r"(?:.*[_.-])?(?:pad|eos|bos|unk|mask|cls|sep|stop|special|end|start)_?token", re.IGNORECASE
)
# Values that only say where a secret is, or that there is one.
_REFERENCE = re.compile(
    r"arn:aws[\w-]*:(?:secretsmanager|ssm):.*|projects/[^/]+/secrets/.*|https://[\w-]+\.vault\.azure\.net/.*"
    r"|@Microsoft\.KeyVault\(.*\)|\{\{resolve:.*\}\}|\$\{?\w+\}?|/[\w./-]+|true|false|none|null|\d{1,3}|<[^>]*>|",
    re.IGNORECASE | re.DOTALL,
)
# An assignment in a script: `export DB_PASSWORD=...`, `"token": "..."`.
_ASSIGNMENT = re.compile(r"""([A-Za-z_][\w.-]*)["']?\s*[:=]\s*["']?([^\s"'$;,(){}\[\]]+)""")

# What a variable of CodeBuild is taken from, if it isn't written out.
_STORES = ("PARAMETER_STORE", "SECRETS_MANAGER")

_WORDS = "a reference to a secret store, not the secret"


def looks_secret(name: str, value: str) -> bool:
    """Whether a value, by itself or by its name, is a secret that is written out."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    named = _NAMES_SECRET.fullmatch(snake) and not _NAMES_TOKEN_OF_TEXT.fullmatch(snake)
    return bool(_SECRET.search(value)) or bool(named and not _REFERENCE.fullmatch(value.strip()))


def holds_secret(script: str) -> bool:
    """Whether a script, plain or in Base64, has a secret in it."""
    text = _decoded(script)
    return bool(_SECRET.search(text)) or any(looks_secret(name, value) for name, value in _ASSIGNMENT.findall(text))


@dataclass(frozen=True, slots=True)
class no_secret_in:  # noqa: N801 (it reads as the checks beside it)
    """No variable of a mapping, or of a list of pairs of name and value, is a secret."""

    path: str

    def __call__(self, scope: Scope) -> Iterator[Result]:
        for path, value in scope.values(self.path):
            if value is UNKNOWN:
                yield Undecided(path)
            elif isinstance(value, Mapping):
                yield from self._judged((f"{path}.{name}", name, inner) for name, inner in value.items())
            elif isinstance(value, list | tuple):
                yield from self._judged(self._pairs(value, path))

    def _pairs(self, items: list[Any] | tuple[Any, ...], path: str) -> Iterator[tuple[str, Any, Any]]:
        for index, item in enumerate(items):
            here = f"{path}[{index}]"
            if item is UNKNOWN:
                yield here, UNKNOWN, UNKNOWN
            elif isinstance(item, Mapping) and item.get("type") not in _STORES:
                yield f"{here}.value", item.get("name", ""), item.get("value", MISSING)

    def _judged(self, found: Iterator[tuple[str, Any, Any]]) -> Iterator[Result]:
        for path, name, value in found:
            if value is UNKNOWN or name is UNKNOWN:
                # A value that isn't known is one of a resource, seldom a secret; a name of one says otherwise.
                if name is UNKNOWN or looks_secret(str(name), "not known"):
                    yield Undecided(path)
            elif value not in (None, MISSING) and looks_secret(str(name), str(value)):
                yield Wrong(path, "a secret", _WORDS)


@dataclass(frozen=True, slots=True)
class no_secret_script:  # noqa: N801
    """No script at a path has a secret in it."""

    path: str

    def __call__(self, scope: Scope) -> Iterator[Result]:
        for path, value in scope.values(self.path):
            if value is UNKNOWN:
                yield Undecided(path)
            elif isinstance(value, str) and holds_secret(value):
                yield Wrong(path, "a script with a secret", _WORDS)


@dataclass(frozen=True, slots=True)
class no_secret_in_json:  # noqa: N801
    """A part of a JSON text, or of an object in its place, has no secret: lists of pairs under some name."""

    path: str
    name: str

    def __call__(self, scope: Scope) -> Iterator[Result]:
        check = no_secret_in("")
        for path, value in scope.values(self.path):
            if value is UNKNOWN:
                yield Undecided(path)
                continue
            try:
                content = json.loads(value) if isinstance(value, str) else value
            except (ValueError, RecursionError):
                yield Wrong(path, value, "JSON")
                continue
            for found, inner in _under(content, self.name, path):
                yield from check(Scope(scope.resource, inner, found, scope.parameters))


def _under(value: Any, name: str, path: str) -> Iterator[tuple[str, Any]]:
    """Everything under a name, however deep."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if str(key).casefold() == name:
                yield f"{path}.{key}", inner
            else:
                yield from _under(inner, name, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _under(inner, name, f"{path}[{index}]")


def _decoded(script: str) -> str:
    try:
        return base64.b64decode("".join(script.split()), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return script
