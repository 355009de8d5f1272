"""What rules on whole stacks are made of: which other resources count for a resource, and what must hold of them.

A finder yields the resources that count, such as everything that depends on an endpoint. A relation asks that one of
them passes a check, and tells what is lacking otherwise. What is named by a plain text instead of by an output has no
dependency; `naming` finds it all the same.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_policies.checks import Check, Result, Scope, Undecided, Wrong, texts_in
from ml_policies.resource import MISSING, Resource, Stack
from ml_policies.rule import Relation

Finder = Callable[[Resource, Stack], Iterable[Resource]]


def anything(scope: Scope) -> Iterator[Result]:
    """A check that everything passes."""
    del scope
    return iter(())


def dependents(*types: str) -> Finder:
    """What depends on the resource, directly or through others."""
    return lambda resource, stack: stack.dependents(resource, *types)


def dependencies(*types: str) -> Finder:
    """What the resource depends on, directly or through others."""
    return lambda resource, stack: stack.dependencies(resource, *types)


def anywhere(*types: str) -> Finder:
    """Every resource of some types in the stack, but the resource itself."""
    return lambda resource, stack: (one for one in stack.of_type(*types) if one is not resource)


def naming(type_: str, path: str, own: str) -> Finder:
    """Resources of a type whose texts inside of a path name what the resource itself says at `own`, as a whole word."""

    def found(resource: Resource, stack: Stack) -> Iterator[Resource]:
        names = [value for _, value in Scope(resource, resource.properties).values(own) if isinstance(value, str)]
        if not any(names):
            return
        pattern = re.compile(rf"(?<![\w-])({'|'.join(re.escape(name) for name in names if name)})(?![\w-])")
        for one in stack.of_type(type_):
            texts = (text for _, value in Scope(one, one.properties).values(path) for text in texts_in(value))
            if any(isinstance(text, str) and pattern.search(text) for text in texts):
                yield one

    return found


def belonging(type_: str, path: str, own: str) -> Finder:
    """What is set of the resource from outside: resources of a type that need it directly, or name it at a path."""
    named = naming(type_, path, own)
    return either(
        lambda resource, stack: (one for one in stack.of_type(type_) if resource.urn in one.depends_on), named
    )


def either(*finders: Finder) -> Finder:
    """What at least one of several finders finds."""

    def found(resource: Resource, stack: Stack) -> Iterator[Resource]:
        seen: set[str] = set()
        for finder in finders:
            for one in finder(resource, stack):
                if one.urn not in seen:
                    seen.add(one.urn)
                    yield one

    return found


def chain(first: Finder, *others: Finder) -> Finder:
    """What the last of several finders finds from what the ones before it found."""
    if not others:
        return first
    rest = chain(*others)
    return lambda resource, stack: (far for near in first(resource, stack) for far in rest(near, stack))


@dataclass(frozen=True, slots=True)
class related:  # noqa: N801 (it reads as the functions beside it)
    """At least one of the resources that a finder finds passes a check, and a relation of its own.

    lacking: what is told where there is none. elsewhere: whether the rule holds if nothing is found at all, because
    what counts may be in another stack.
    """

    finder: Finder
    lacking: str
    check: Check = anything
    then: Relation | None = None
    elsewhere: bool = False

    def __call__(self, resource: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
        opened: str | None = None
        nothing = True
        for one in self.finder(resource, stack):
            nothing = False
            results = list(self.check(Scope(one, one.properties, parameters=parameters)))
            if self.then and not any(isinstance(result, Wrong) for result in results):
                results += self.then(one, stack, parameters)
            if not results:
                return
            if opened is None and all(isinstance(result, Undecided) for result in results):
                opened = f"{one.name}: {next(result.path for result in results if isinstance(result, Undecided))}"
        if opened is not None:
            yield Undecided(opened)
        elif not (nothing and self.elsewhere):
            yield Wrong("", MISSING, self.lacking)


@dataclass(frozen=True, slots=True)
class where:  # noqa: N801
    """A relation that counts only for a resource that itself passes a check."""

    condition: Check
    relation: Relation

    def __call__(self, resource: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
        conditions = list(self.condition(Scope(resource, resource.properties, parameters=parameters)))
        if any(isinstance(result, Wrong) for result in conditions):
            return
        results = list(self.relation(resource, stack, parameters))
        yield from conditions if conditions and results else results


@dataclass(frozen=True, slots=True)
class one_relation:  # noqa: N801
    """At least one of several relations holds; what the first finds is told where none does."""

    relations: tuple[Relation, ...]

    def __init__(self, *relations: Relation):
        object.__setattr__(self, "relations", relations)

    def __call__(self, resource: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
        results = []
        for relation in self.relations:
            results.append(list(relation(resource, stack, parameters)))
            if not results[-1]:
                return
        undecided = [found for found in results if all(isinstance(result, Undecided) for result in found)]
        yield from (undecided or results)[0]


def itself(check: Check) -> Relation:
    """A check of the resource's own properties, as a relation."""
    return lambda resource, _, parameters: check(Scope(resource, resource.properties, parameters=parameters))
