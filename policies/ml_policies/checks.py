"""What most rules are made of: declarations of what a property must be, which know absent and unknown values.

A check is called with a Scope and yields what it finds: Wrong for what breaks the rule, Undecided for what only a
deployment shows. If it yields nothing, the resource passes. Paths name properties as the provider's schema does:
`a.b` is b of a, `a[].b` is b of each item of the list a.

A property that is absent counts as `default`, which must be what the provider or the cloud does then; `source` says
where that is written. Without a default an absent property is Wrong where a value is asked for.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ml_policies.resource import MISSING, UNKNOWN, Resource


@dataclass(frozen=True, slots=True)
class Wrong:
    """A value that breaks a rule: where it is, what was found, and what would be right."""

    path: str
    found: Any
    expected: str

    def __str__(self) -> str:
        found = self.found if self.found is MISSING else f"`{_short(self.found)}`"
        return f"{self.path}: {found!s} was found; expected is {self.expected}" if self.path else self.expected


@dataclass(frozen=True, slots=True)
class Undecided:
    """A value that the rule needs and that is known only at deployment."""

    path: str

    def __str__(self) -> str:
        return f"{self.path}: decided at deployment"


@dataclass(frozen=True, slots=True)
class Crashed:
    """A rule that couldn't judge: an error of ours, never to be taken for a pass."""

    error: str

    def __str__(self) -> str:
        return f"the rule itself failed, which is an error in ml-policies: {self.error}"


Result = Wrong | Undecided | Crashed


@dataclass(frozen=True, slots=True)
class Scope:
    """What a check looks at: a value, where it is in its resource, and the parameters of the rule."""

    resource: Resource
    value: Any
    path: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def inside(self, path: str, value: Any) -> "Scope":
        """The scope of a value inside of this one."""
        return replace(self, value=value, path=_joined(self.path, path))

    def values(self, path: str) -> Iterator[tuple[str, Any]]:
        """The values at a path, each with its full path: one, or one for each item of the lists on the way.

        MISSING stands for what is absent or null, UNKNOWN for what is unknown itself or inside of something unknown.
        """
        yield from _values(self.value, path, self.path)


class Check(Protocol):
    """A declaration of what must hold."""

    def __call__(self, scope: Scope) -> Iterator[Result]:
        """Yield what is wrong or undecided."""
        ...


@dataclass(frozen=True, slots=True)
class _Value:
    """A check of each value at a path, by `wrong`, which says what is expected where a value isn't right."""

    path: str
    wrong: Callable[[Any, Mapping[str, Any]], str | None]
    default: Any = MISSING
    source: str = ""

    def __call__(self, scope: Scope) -> Iterator[Result]:
        for path, value in scope.values(self.path):
            if value is UNKNOWN:
                yield Undecided(path)
                continue
            effective = self.default if value is MISSING else value
            if expected := self.wrong(effective, scope.parameters):
                yield Wrong(path, value, expected)


def judged(
    path: str, wrong: Callable[[Any, Mapping[str, Any]], str | None], default: Any = MISSING, source: str = ""
) -> Check:
    """A value that a function judges: given the value and the rule's parameters, it says what is expected, or None."""
    return _Value(path, wrong, default, source)


def present(path: str) -> Check:
    """A value that is there and not empty."""
    return _Value(path, lambda value, _: "a value" if value in (MISSING, "", [], {}) else None)


def absent(path: str, because: str = "nothing") -> Check:
    """No value, or an empty one."""
    return _Value(path, lambda value, _: None if value in (MISSING, "", [], {}) else because)


def equals(path: str, wanted: Any, default: Any = MISSING, source: str = "") -> Check:
    """Exactly this value; text counts without its case, `true` in quotes as true."""
    return one_of(path, (wanted,), default, source)


def one_of(path: str, wanted: Collection[Any], default: Any = MISSING, source: str = "") -> Check:
    """One of these values; text counts without its case, `true` in quotes as true."""
    allowed = {_folded(value) for value in wanted}
    words = " or ".join(f"`{_short(value)}`" for value in wanted)
    return _Value(path, lambda value, _: None if _folded(value) in allowed else words, default, source)


def none_of(path: str, refused: Collection[Any], default: Any = MISSING, source: str = "") -> Check:
    """None of these values; text counts without its case."""
    forbidden = {_folded(value) for value in refused}
    words = f"anything but {' or '.join(f'`{_short(value)}`' for value in refused)}"
    return _Value(path, lambda value, _: words if _folded(value) in forbidden else None, default, source)


def allowed(path: str, parameter: str, default: Any = MISSING, source: str = "") -> Check:
    """One of the values of a parameter of the rule; an empty parameter allows everything."""

    def wrong(value: Any, parameters: Mapping[str, Any]) -> str | None:
        values = parameters[parameter]
        if not values or _folded(value) in {_folded(one) for one in values}:
            return None
        return f"one of {parameter}: {', '.join(map(str, values))}"

    return _Value(path, wrong, default, source)


def at_least(path: str, least: float, default: Any = MISSING, source: str = "") -> Check:
    """A number that is not smaller."""
    return _Value(
        path, lambda value, _: None if number(value, least - 1) >= least else f"{least} or more", default, source
    )


def at_most(path: str, most: float, default: Any = MISSING, source: str = "") -> Check:
    """A number that is not greater."""
    return _Value(
        path, lambda value, _: None if number(value, most + 1) <= most else f"{most} or less", default, source
    )


def matches(path: str, pattern: str, words: str, default: Any = MISSING, source: str = "") -> Check:
    """Text that matches a regular expression as a whole; `words` say the same to people."""
    compiled = re.compile(pattern)
    return _Value(
        path,
        lambda value, _: None if isinstance(value, str) and compiled.fullmatch(value) else words,
        default,
        source,
    )


@dataclass(frozen=True, slots=True)
class all_of:  # noqa: N801 (it reads as the functions beside it)
    """Every one of several checks."""

    checks: tuple[Check, ...]

    def __init__(self, *checks: Check):
        object.__setattr__(self, "checks", checks)

    def __call__(self, scope: Scope) -> Iterator[Result]:
        for check in self.checks:
            yield from check(scope)


@dataclass(frozen=True, slots=True)
class any_of:  # noqa: N801
    """At least one of several checks; what the first finds is told where none holds."""

    checks: tuple[Check, ...]

    def __init__(self, *checks: Check):
        object.__setattr__(self, "checks", checks)

    def __call__(self, scope: Scope) -> Iterator[Result]:
        results = [list(check(scope)) for check in self.checks]
        if all(results):
            undecided = [found for found in results if not any(isinstance(result, Wrong) for result in found)]
            yield from (undecided or results)[0]


@dataclass(frozen=True, slots=True)
class when:  # noqa: N801
    """A check that counts only where a condition, itself a check, holds."""

    condition: Check
    then: Check

    def __call__(self, scope: Scope) -> Iterator[Result]:
        conditions = list(self.condition(scope))
        if any(isinstance(result, Wrong) for result in conditions):
            return
        results = list(self.then(scope))
        # Where it isn't known whether the rule counts, what would break it isn't decided either.
        yield from conditions if conditions and results else results


def outside_experiments(labels: str, check: Check) -> Check:
    """A check that doesn't count where the labels at a path say `environment: experiment`.

    What an experiment may do that others may not is fenced instead: it comes to an end, and sees no secrets.
    """
    return when(none_of(f"{labels}.environment", ("experiment",), default=""), check)


@dataclass(frozen=True, slots=True)
class each:  # noqa: N801
    """A check of every item at a path, by paths inside of the item; nothing is found where there is none."""

    path: str
    check: Check

    def __call__(self, scope: Scope) -> Iterator[Result]:
        for path, value in scope.values(self.path):
            if value is UNKNOWN:
                yield Undecided(path)
            elif value is not MISSING:
                yield from self.check(replace(scope, value=value, path=path))


@dataclass(frozen=True, slots=True)
class some:  # noqa: N801
    """A check that at least one item at a path passes, by paths inside of the item; `words` say what is wanted."""

    path: str
    check: Check
    words: str

    def __call__(self, scope: Scope) -> Iterator[Result]:
        opened: Undecided | None = None
        for path, value in scope.values(self.path):
            results = (
                [Undecided(path)] if value is UNKNOWN else list(self.check(replace(scope, value=value, path=path)))
            )
            if not results:
                return
            if isinstance(results[0], Undecided) and not any(isinstance(result, Wrong) for result in results):
                opened = opened or results[0]
        yield opened or Wrong(_joined(scope.path, self.path), MISSING, self.words)


@dataclass(frozen=True, slots=True)
class mentions:  # noqa: N801
    """Some text inside of the values at a path, however deep, has what a regular expression looks for."""

    path: str
    pattern: re.Pattern[str]
    words: str

    def __init__(self, path: str, pattern: str, words: str):
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "pattern", re.compile(pattern))
        object.__setattr__(self, "words", words)

    def __call__(self, scope: Scope) -> Iterator[Result]:
        texts = [text for _, value in scope.values(self.path) for text in texts_in(value)]
        if not any(isinstance(text, str) and self.pattern.search(text) for text in texts):
            path = _joined(scope.path, self.path)
            yield Undecided(path) if UNKNOWN in texts else Wrong(path, MISSING, self.words)


def texts_in(value: Any) -> Iterator[Any]:
    """Every text inside of a value, names of properties too, and UNKNOWN for each part that is unknown."""
    if isinstance(value, str) or value is UNKNOWN:
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_in(inner)


def parsed(value: Any) -> Any:
    """A JSON text as what it means; MISSING and UNKNOWN as they are; None where it is no JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None


def _values(value: Any, path: str, full: str) -> Iterator[tuple[str, Any]]:
    if value is UNKNOWN:
        yield _joined(full, path), UNKNOWN
        return
    if not path:
        yield full, MISSING if value is None else value
        return
    head, _, rest = path.partition(".")
    name = head.removesuffix("[]")
    inner = value.get(name, MISSING) if isinstance(value, Mapping) else MISSING
    here = _joined(full, name)
    if not head.endswith("[]"):
        yield from _values(MISSING if inner is None else inner, rest, here)
    elif inner is UNKNOWN:
        yield _joined(here, rest), UNKNOWN
    elif isinstance(inner, list | tuple):
        for index, item in enumerate(inner):
            yield from _values(item, rest, f"{here}[{index}]")


def _joined(left: str, right: str) -> str:
    return f"{left}.{right}" if left and right else left or right


def _folded(value: Any) -> Any:
    if isinstance(value, str):
        folded = value.casefold()
        return {"true": True, "false": False}.get(folded, folded)
    return value if isinstance(value, bool | int | float | None) else str(value)


def number(value: Any, otherwise: float) -> float:
    """A number, also one in quotes; `otherwise` for what is none."""
    try:
        return float(value) if not isinstance(value, bool) else otherwise
    except (TypeError, ValueError):
        return otherwise


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=repr)
    return text if len(text) <= 80 else f"{text[:77]}..."
