"""Policy documents of AWS, read into statements of one form, whatever their spelling, and what a statement grants.

A document is JSON text or an object. AWS takes one statement or a list of them, one text or a list, and names of
elements in any case. What AWS would refuse is read as the most that it could mean, so that no odd spelling hides a
grant: an effect that isn't Deny counts as Allow, names that occur twice count together.

Whether a statement does something is True, False or UNKNOWN, where only a deployment shows it.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ml_policies.marks import UNKNOWN_TEXT
from ml_policies.resource import MISSING, UNKNOWN, Mark

Truth = bool | Mark
# A text, or UNKNOWN in its place.
Text = str | Mark

# Names that no pattern matches by chance; what matches two of them has nothing fixed in it.
_PROBES = ("some-name-of-one-resource-0123456789", "x/another/one-that-is-quite-different")


def any_true(truths: Iterable[Truth]) -> Truth:
    """True if one is, else UNKNOWN if one is, else False."""
    found: Truth = False
    for truth in truths:
        if truth is True:
            return True
        found = UNKNOWN if truth is UNKNOWN else found
    return found


def all_true(truths: Iterable[Truth]) -> Truth:
    """False if one is, else UNKNOWN if one is, else True."""
    found: Truth = True
    for truth in truths:
        if truth is False:
            return False
        found = UNKNOWN if truth is UNKNOWN else found
    return found


def is_not(truth: Truth) -> Truth:
    """The opposite; UNKNOWN stays."""
    return truth if truth is UNKNOWN else truth is False


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of a statement: an operator and a key in lower case, and the values, of which one must match.

    An operator of UNKNOWN is a test that isn't known at all.
    """

    operator: Text
    key: str
    values: tuple[Text, ...]

    def limits(self, key: Callable[[str], bool], narrow: Callable[[str], bool]) -> Truth:
        """Whether it lets a request through only if a key has a value that is narrow enough.

        `...IfExists` and `ForAllValues:` hold where the key is absent, and negations hold for everything else.
        """
        if self.operator is UNKNOWN:
            return UNKNOWN
        operator = str(self.operator).removeprefix("foranyvalue:")
        if operator not in _MATCHING or not key(self.key) or not self.values:
            return False
        return all_true(UNKNOWN if value is UNKNOWN else narrow(str(value)) for value in self.values)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. Elements that are absent are None; actions, services and condition keys are in lower case."""

    path: str
    written: Any
    allows: Truth
    actions: tuple[Text, ...] | None = None
    not_actions: tuple[Text, ...] | None = None
    resources: tuple[Text, ...] | None = None
    not_resources: tuple[Text, ...] | None = None
    principals: tuple[tuple[str, Text], ...] | None = None
    not_principals: tuple[tuple[str, Text], ...] | None = None
    conditions: tuple[Condition, ...] = ()

    def grants(self, *wanted: str) -> Truth:
        """Whether its actions have one of some actions, such as `iam:passrole`."""
        named = any_true(
            UNKNOWN if action is UNKNOWN else any(glob(str(action)).fullmatch(one) for one in wanted)
            for action in self.actions or ()
        )
        if self.not_actions is None:
            return named
        return any_true([named, *(is_not(self._spares(one)) for one in wanted)])

    def _spares(self, action: str) -> Truth:
        """Whether NotAction names an action."""
        return any_true(
            UNKNOWN if one is UNKNOWN else bool(glob(str(one)).fullmatch(action)) for one in self.not_actions or ()
        )

    @property
    def wide_actions(self) -> Truth:
        """Whether a wildcard stands for actions, other than those that only describe and list; or NotAction does."""
        return any_true(
            [
                self.not_actions is not None,
                *(UNKNOWN if action is UNKNOWN else _wide_action(str(action)) for action in self.actions or ()),
            ]
        )

    def everywhere(self, *kinds: str) -> Truth:
        """Whether its resources are all that there are; with kinds such as `role`, all of one of these kinds.

        Nothing named at all, and everything but something, count as all.
        """
        return any_true(
            [
                self.not_resources is not None or not self.resources,
                *(UNKNOWN if one is UNKNOWN else _everywhere(str(one), kinds) for one in self.resources or ()),
            ]
        )

    @property
    def everyone(self) -> Truth:
        """Whether its principals are anybody at all, before conditions."""
        return any_true(
            [
                self.not_principals is not None,
                *(UNKNOWN if who is UNKNOWN else _everyone(str(who)) for _, who in self.principals or ()),
            ]
        )

    def named(self, *kinds: str) -> tuple[Text, ...]:
        """Its principals of some kinds, such as `service`; one that isn't known may be of any."""
        return tuple(who for kind, who in self.principals or () if kind in kinds or kind == "")

    def limited(self, key: Callable[[str], bool], narrow: Callable[[str], bool]) -> Truth:
        """Whether a condition limits it by a key; see Condition."""
        return any_true(condition.limits(key, narrow) for condition in self.conditions)


def statements(value: Any, path: str = "") -> Iterator[Statement] | None:
    """The statements of a document, an empty one if it is absent; None for what is no policy document.

    A document that isn't known is one statement that may do anything.
    """
    if value is MISSING or value is None or value == "":
        return iter(())
    if value is UNKNOWN or (isinstance(value, str) and value == UNKNOWN_TEXT):
        return iter((_unknown(path),))
    document = _loaded(value) if isinstance(value, str) else value
    if not isinstance(document, Mapping | _Pairs) or _is_deep(document):
        return None
    found = _elements(document).get("statement", [])
    return _statements(found, f"{path}.Statement" if path else "Statement")


@lru_cache(maxsize=4096)
def glob(pattern: str) -> re.Pattern[str]:
    """A pattern with AWS's wildcards: `*` for any text, `?` for one character."""
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in re.split(r"([*?])", pattern))
    return re.compile("".join(parts), re.DOTALL)


# A policy has half as many levels: document, statement, condition, key, values.
_DEEPEST = 12

# Operators that a request passes only with a value that matches.
_MATCHING = frozenset(
    {"stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike", "ipaddress", "bool"}
)


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON with every pair of it, also where a name occurs twice."""


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None


def _is_deep(document: Any) -> bool:
    """Whether it is nested as no policy is; what follows may then rely on the depth."""
    level = [document]
    for _ in range(_DEEPEST):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, _Pairs):
        return [inner for _, inner in value]
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _elements(mapping: Mapping[str, Any] | _Pairs) -> dict[str, list[Any]]:
    """Its values by name in lower case: one, or several where names differ in case only; nulls are absent."""
    found: dict[str, list[Any]] = {}
    for name, value in mapping if isinstance(mapping, _Pairs) else mapping.items():
        if value is None or value is MISSING:
            continue
        found.setdefault(str(name).strip().casefold(), []).append(value)
    return found


def _flat(value: Any) -> Iterator[Any]:
    """The single values of lists within lists, without nulls; an object stays one."""
    if isinstance(value, list | tuple) and not isinstance(value, _Pairs):
        for item in value:
            yield from _flat(item)
    elif value is not None and value is not MISSING:
        yield value


def _texts(values: Iterable[Any], lower: bool = False) -> tuple[Text, ...]:
    """The texts of an element; in an odd object, those of its values."""
    found: list[Text] = []
    for value in _flat(list(values)):
        if isinstance(value, Mapping | _Pairs):
            found += _texts((inner for inners in _elements(value).values() for inner in inners), lower)
        elif value is UNKNOWN or (isinstance(value, str) and UNKNOWN_TEXT in value):
            found.append(UNKNOWN)
        else:
            text = str(value).strip()
            found.append(text.casefold() if lower else text)
    return tuple(found)


def _statements(found: list[Any], path: str) -> Iterator[Statement]:
    for index, value in enumerate(_flat(found)):
        here = f"{path}[{index}]"
        if value is UNKNOWN:
            yield _unknown(here)
        elif isinstance(value, Mapping | _Pairs):
            yield _statement(_elements(value), value, here)


def _statement(elements: Mapping[str, list[Any]], written: Any, path: str) -> Statement:
    effects = _texts(elements.get("effect", []), lower=True)
    allows: Truth = UNKNOWN if UNKNOWN in effects else not effects or any(effect != "deny" for effect in effects)

    def texts(name: str, lower: bool = False) -> tuple[Text, ...] | None:
        return _texts(elements[name], lower) if name in elements else None

    return Statement(
        path,
        _plain(written),
        allows,
        texts("action", lower=True),
        texts("notaction", lower=True),
        texts("resource"),
        texts("notresource"),
        _principals(elements["principal"]) if "principal" in elements else None,
        _principals(elements["notprincipal"]) if "notprincipal" in elements else None,
        tuple(_conditions(elements.get("condition", []))),
    )


def _unknown(path: str) -> Statement:
    """A statement of which nothing is known."""
    nothing = (UNKNOWN,)
    return Statement(
        path,
        UNKNOWN,
        UNKNOWN,
        actions=nothing,
        resources=nothing,
        principals=(("", UNKNOWN),),
        conditions=(Condition(UNKNOWN, "", ()),),
    )


def _principals(values: list[Any]) -> tuple[tuple[str, Text], ...]:
    """Kind and name of each; the kind is `*` for a bare text, and empty for what isn't known."""
    found: list[tuple[str, Text]] = []
    for value in _flat(values):
        if isinstance(value, Mapping | _Pairs):
            found += [
                (kind, who)
                for kind, names in _elements(value).items()
                for who in _texts(names, lower=kind == "service")
            ]
        else:
            found += [("" if who is UNKNOWN else "*", who) for who in _texts([value])]
    return tuple(found)


def _conditions(values: list[Any]) -> Iterator[Condition]:
    for value in _flat(values):
        if not isinstance(value, Mapping | _Pairs):
            if value is UNKNOWN:
                yield Condition(UNKNOWN, "", ())
            continue
        for operator, tests in _elements(value).items():
            for test in _flat(tests):
                if test is UNKNOWN:
                    yield Condition(UNKNOWN, "", ())
                elif isinstance(test, Mapping | _Pairs):
                    yield from (Condition(operator, key, _texts(wanted)) for key, wanted in _elements(test).items())


def _wide_action(action: str) -> bool:
    fixed = re.split(r"[*?]", action, maxsplit=1)[0]
    if fixed == action:
        return False
    _, _, name = fixed.partition(":")
    return not name.startswith(("describe", "list"))


def _everywhere(resource: str, kinds: tuple[str, ...]) -> bool:
    """Whether an ARN, or a pattern of ARNs, names nothing."""
    parts = resource.split(":", 5)
    if len(parts) < 6:
        return "*" in resource or "?" in resource
    named = parts[5]
    if not named.strip("*?/:"):
        return True
    pattern = glob(named)
    return any(all(pattern.fullmatch(f"{kind}/{probe}") for probe in _PROBES) for kind in kinds)


def _everyone(who: str) -> bool:
    """Whether a principal is a wildcard, or an ARN of any account."""
    parts = who.split(":")
    account = parts[4] if len(parts) > 5 else who
    return "*" in account or "?" in account


def _plain(value: Any) -> Any:
    """A part of a document as people know it."""
    if isinstance(value, _Pairs):
        return {name: _plain(inner) for name, inner in value}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
