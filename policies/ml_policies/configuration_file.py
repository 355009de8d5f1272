"""Reads and checks a configuration file of the pack; all that is wrong is told at once.

The file has the shapes that the Pulumi CLI reads: a level or an object by policy, or the same under `policies` with
`"version": 2`. The CLI itself lets unknown policies pass in silence; here they are refused.
https://github.com/pulumi/pulumi/blob/master/pkg/resource/analyzer/config.go
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ml_policies import json_schema
from ml_policies.checks import MISSING
from ml_policies.exemption import Exemption
from ml_policies.framework import frameworks
from ml_policies.json_schema import Problem, inside
from ml_policies.rule import Level, Rule

SETTINGS = "settings"
ALL = "all"
LEVEL = "enforcementLevel"
ENVIRONMENTS = ("experiment", "staging", "production")

_TEXT = r"\S"
_LEVELS = [level.value for level in Level]
# What `settings` may hold; the engine is given it too, as the schema of a policy of this name.
SETTINGS_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "environment": {"type": "string", "description": "the name of the environment"},
        "environments": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"type": "string", "pattern": _TEXT, "description": "the name of an environment"},
        },
        "levels": {"type": "object", "additionalProperties": {"type": "object"}},
        "frameworks": {"type": "array", "uniqueItems": True, "items": {"type": "string"}},
        "exemptions": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["rule", "urn", "owner", "reason", "ticket", "expires"],
                "properties": {
                    "rule": {"type": "string", "pattern": _TEXT, "description": "the id of a rule or a pattern"},
                    "urn": {
                        "type": "string",
                        "pattern": _TEXT,
                        "description": "a pattern of URNs, such as *::legacy-*",
                    },
                    "owner": {"type": "string", "pattern": _TEXT, "description": "who answers for it"},
                    "reason": {"type": "string", "pattern": _TEXT, "description": "why it is needed"},
                    "ticket": {"type": "string", "pattern": _TEXT, "description": "where its end is planned"},
                    "expires": {
                        "type": "string",
                        "pattern": r"^\d{4}-\d{2}-\d{2}$",
                        "description": "its last day, such as 2027-01-31",
                    },
                },
            },
        },
    },
}


class ConfigurationError(ValueError):
    """A configuration that can't be used. problems: all of them, each with its place, what was found, what is right."""

    def __init__(self, problems: Iterable[str]):
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def read(
    source: Mapping[str, Any] | Path, environment: str, chosen: tuple[str, ...], rules: Mapping[str, Rule]
) -> dict[str, Any]:
    """The fields of a Configuration; environment and chosen frameworks, if given, count before the file's own.

    Raises ConfigurationError.
    """
    name = str(source) if isinstance(source, Path) else "configuration"
    content = _content(source) if isinstance(source, Path) else source
    file = _File(content, environment, chosen, rules)
    if problems := list(file.problems()):
        raise ConfigurationError(f"{name}: {_told(*problem)}" for problem in problems)
    return file.fields()


def _content(file: Path) -> Any:
    try:
        text = file.read_text(encoding="utf-8")
        return json.loads(text, object_pairs_hook=_without_repetition) if text.strip() else {}
    except OSError as error:
        raise ConfigurationError([f"{file} can't be read: {error.strerror}"]) from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError([f"{file} is no JSON: {error}"]) from None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{', '.join(sorted(repeated))} is there twice")
    return dict(pairs)


def _level_problems(level: Any, path: str) -> Iterator[Problem]:
    if level not in _LEVELS:
        yield path, level, f"one of {', '.join(_LEVELS)}"


def _told(path: str, found: Any, right: str) -> str:
    what = repr(found) if found is MISSING else f"`{json.dumps(found, default=repr)}`"
    return f"{path or 'the whole'}: {what} was found; expected is {right}"


class _File:
    """A file's content, with what is said outside of it."""

    def __init__(self, content: Any, environment: str, chosen: tuple[str, ...], rules: Mapping[str, Rule]):
        self._content = content
        self._rules = rules
        self._policies: Mapping[str, Any] = content if isinstance(content, Mapping) else {}
        if versioned := isinstance(self._policies.get("version"), int | float):
            policies = self._policies.get("policies")
            self._policies = {} if policies is None else policies
        self._path = "policies" if versioned else ""
        settings = self._policies.get(SETTINGS, {}) if isinstance(self._policies, Mapping) else {}
        own = settings if isinstance(settings, Mapping) else {}
        self._settings = {name: value for name, value in own.items() if name != LEVEL}
        self._environment = environment or self._settings.get("environment", "")
        self._chosen = chosen or self._settings.get("frameworks", ())
        self._outside = {"environment": environment, "frameworks": chosen}

    def fields(self) -> dict[str, Any]:
        """What a Configuration is made of, once there are no problems."""
        known = {name: self._said(name, said) for name, said in self._policies.items() if name != "environments"}
        selected = [frameworks()[id_].rules for id_ in self._chosen]
        return {
            "environment": self._environment,
            "policies": known,
            "levels": {
                environment: {name: self._said(name, said) for name, said in by_name.items()}
                for environment, by_name in self._settings.get("levels", {}).items()
            },
            "frameworks": tuple(self._chosen),
            "selected": frozenset().union(*selected) if selected else None,
            "exemptions": tuple(
                Exemption(
                    one["rule"],
                    one["urn"],
                    one["owner"],
                    one["reason"],
                    one["ticket"],
                    date.fromisoformat(one["expires"]),
                )
                for one in self._settings.get("exemptions", ())
            ),
        }

    def problems(self) -> Iterator[Problem]:
        """Everything that is wrong."""
        if not isinstance(self._content, Mapping):
            yield "", self._content, "an object"
            return
        yield from self._version_problems()
        if not isinstance(self._policies, Mapping):
            yield self._path, self._policies, "an object"
            return
        for name, said in self._policies.items():
            path = inside(self._path, name)
            if name == SETTINGS and isinstance(said, Mapping):
                yield from _level_problems(said.get(LEVEL, Level.MANDATORY), inside(path, LEVEL))
            elif name == "environments" and not self._path:
                continue
            elif name in (ALL, SETTINGS) or name in self._rules:
                yield from self._policy_problems(name, said, path)
            else:
                yield path, said, f"the id of a rule, {ALL} or {SETTINGS}{self._nearest(name)}"
        yield from self._settings_problems(inside(self._path, SETTINGS))

    def _version_problems(self) -> Iterator[Problem]:
        if not self._path:
            return
        if self._content["version"] != 2:
            yield "version", self._content["version"], "2"
        for name in self._content.keys() - {"version", "policies", "environments"}:
            right = "none: exemptions with owner, ticket and expiry are in settings.exemptions"
            yield name, self._content[name], right if name == "exceptions" else "version, policies or environments"

    def _policy_problems(self, name: str, said: Any, path: str) -> Iterator[Problem]:
        if isinstance(said, str):
            yield from _level_problems(said, path)
        elif isinstance(said, Mapping):
            if LEVEL in said:
                yield from _level_problems(said[LEVEL], inside(path, LEVEL))
            known = [rule for id_, rule in self._rules.items() if fnmatchcase(id_, name)]
            parameters = {key: one.schema for rule in known for key, one in rule.parameters.items()}
            for key in said.keys() - {LEVEL}:
                if key in parameters:
                    yield from json_schema.problems(said[key], parameters[key], inside(path, key))
                else:
                    yield inside(path, key), said[key], f"one of {', '.join((LEVEL, *parameters))}"
        else:
            yield path, said, f"a level ({', '.join(_LEVELS)}) or an object"

    def _settings_problems(self, path: str) -> Iterator[Problem]:
        wrong = list(json_schema.problems(self._settings, SETTINGS_SCHEMA, path))
        yield from wrong
        # Where the shape of a part is wrong, nothing more is to be said of it.
        bad = {one.removeprefix(f"{path}.").partition(".")[0].partition("[")[0] for one, _, _ in wrong}
        if not bad & {"environment", "environments"}:
            yield from self._environment_problems(path)
        if "frameworks" not in bad:
            for id_ in self._chosen:
                if id_ not in frameworks():
                    yield self._where(path, "frameworks"), id_, f"one of {', '.join(frameworks())}"
        if isinstance(self._settings.get("exemptions"), list):
            for index, one in enumerate(self._settings["exemptions"]):
                yield from self._exemption_problems(one, f"{path}.exemptions[{index}]")

    def _environment_problems(self, path: str) -> Iterator[Problem]:
        known = self._settings.get("environments", ENVIRONMENTS)
        levels = self._settings.get("levels")
        levels = levels if isinstance(levels, Mapping) else {}
        if self._environment and self._environment not in known:
            yield self._where(path, "environment"), self._environment, f"one of {', '.join(known)}"
        if levels and not self._environment:
            yield inside(path, "environment"), MISSING, f"one of {', '.join(known)}, as there are levels by environment"
        for environment, by_name in levels.items():
            here = f"{path}.levels.{environment}"
            if environment not in known:
                yield here, by_name, f"an environment: one of {', '.join(known)}"
            for name, said in by_name.items() if isinstance(by_name, Mapping) else ():
                if name == ALL or any(fnmatchcase(id_, name) for id_ in self._rules):
                    yield from self._policy_problems(name, said, inside(here, name))
                else:
                    yield inside(here, name), said, f"the id of a rule, a pattern or {ALL}{self._nearest(name)}"

    def _exemption_problems(self, one: Any, path: str) -> Iterator[Problem]:
        if not isinstance(one, Mapping):
            return
        if isinstance(pattern := one.get("rule"), str) and pattern.strip():
            covered = [rule for id_, rule in self._rules.items() if fnmatchcase(id_, pattern)]
            if not covered:
                yield f"{path}.rule", pattern, f"the id of a rule or a pattern of ids{self._nearest(pattern)}"
            elif not any(rule.exemptible for rule in covered):
                yield f"{path}.rule", pattern, "a rule that may be exempted; this one never is"
        expires = one.get("expires")
        if isinstance(expires, str) and not any(json_schema.problems(expires, _expires_schema())):
            try:
                date.fromisoformat(expires)
            except ValueError as error:
                yield f"{path}.expires", expires, f"a day that exists ({error})"

    def _where(self, path: str, name: str) -> str:
        return f"the chosen {name}" if self._outside[name] else inside(path, name)

    def _nearest(self, name: str) -> str:
        near = difflib.get_close_matches(name.upper(), self._rules, 1, 0.8)
        return f"; {near[0]} is near" if near else ""

    def _said(self, name: str, said: Any) -> Mapping[str, Any]:
        if isinstance(said, str):
            return {LEVEL: said}
        schemas = {
            key: parameter.schema
            for id_, rule in self._rules.items()
            if fnmatchcase(id_, name)
            for key, parameter in rule.parameters.items()
        }
        return {key: json_schema.normal(value, schemas.get(key, {})) for key, value in said.items()}


def _expires_schema() -> Mapping[str, Any]:
    return SETTINGS_SCHEMA["properties"]["exemptions"]["items"]["properties"]["expires"]
