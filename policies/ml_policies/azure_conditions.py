"""Conditions on role assignments of Azure, read and asked: would this request be let through?

What a request says isn't always known; then the answer is UNKNOWN, where it would decide.
https://learn.microsoft.com/azure/role-based-access-control/conditions-format
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from ml_policies.policy_documents import Truth, all_true, any_true, glob, is_not
from ml_policies.resource import UNKNOWN

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^']*')|(?P<attribute>@\w+\[[^\]]*\])|(?P<sign>[(){},!]|&&|\|\|)|(?P<word>[^\s(){},!'@&|]+))"
)
_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_SAME = re.compile(r"(?:Guid|String|Numeric|Bool|DateTime)(?P<otherwise>Not)?Equals(?:IgnoreCase)?", re.IGNORECASE)

# Brackets and negations in one another; Azure's own editor writes three.
_DEEPEST = 50

_AND, _OR, _NOT = ("AND", "&&"), ("OR", "||"), ("NOT", "!")


@dataclass(frozen=True)
class Request:
    """What is asked for: an operation, and by the source and name of an attribute its value.

    Names of attributes are in lower case, such as `request[microsoft.authorization/roleassignments:principalid]`; those
    that aren't there could have any value.
    """

    operation: str
    attributes: Mapping[str, str]


_Node = Callable[[Request], Truth]


@dataclass(frozen=True)
class Condition:
    """A condition, and every GUID that is named in it, in lower case."""

    guids: frozenset[str]
    _node: _Node

    def lets(self, request: Request) -> Truth:
        """Whether a request passes."""
        return self._node(request)


def read(text: str) -> Condition:
    """Raises ValueError for what isn't a condition of version 2.0."""
    tokens = _Tokens(text)
    node = _either(tokens)
    if (rest := tokens.look()) is not None:
        raise ValueError(f"`{rest}` after the end of a condition")
    return Condition(frozenset(guid.lower() for guid in _GUID.findall(text)), node)


class _Tokens:
    def __init__(self, text: str):
        self._found = list(_split(text))
        self._next = 0
        self.depth = 0

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Inside of one more bracket or negation. Raises ValueError where there are too many."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValueError("more brackets in one another than can be read")
        yield
        self.depth -= 1

    def look(self) -> str | None:
        return self._found[self._next] if self._next < len(self._found) else None

    def take(self, *wanted: str) -> str:
        """The next token, which is one of those wanted, or any."""
        token = self.look()
        if token is None or (wanted and token.upper() not in wanted):
            raise ValueError(f"{token or 'the end'} where {' or '.join(wanted) or 'more'} is expected")
        self._next += 1
        return token

    def comes(self, *wanted: str) -> bool:
        """Whether the next token is one of some, which is taken then."""
        found = (token := self.look()) is not None and token.upper() in wanted
        self._next += found
        return found


def _split(text: str) -> Iterator[str]:
    place = 0
    text = text.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise ValueError(f"`{text[place : place + 20]}` can't be read")
        yield found.group().strip()
        place = found.end()


def _either(tokens: _Tokens) -> _Node:
    nodes = [_all(tokens)]
    while tokens.comes(*_OR):
        nodes.append(_all(tokens))
    return lambda request: any_true(node(request) for node in nodes)


def _all(tokens: _Tokens) -> _Node:
    nodes = [_one(tokens)]
    while tokens.comes(*_AND):
        nodes.append(_one(tokens))
    return lambda request: all_true(node(request) for node in nodes)


def _one(tokens: _Tokens) -> _Node:
    if tokens.comes(*_NOT):
        with tokens.deeper():
            node = _one(tokens)
        return lambda request: is_not(node(request))
    if tokens.comes("("):
        with tokens.deeper():
            inner = _either(tokens)
        tokens.take(")")
        return inner
    if tokens.comes("ACTIONMATCHES"):
        patterns = [glob(value) for value in _values(tokens)]
        return lambda request: any(pattern.fullmatch(request.operation.lower()) is not None for pattern in patterns)
    if tokens.comes("SUBOPERATIONMATCHES"):
        _values(tokens)
        return lambda _: UNKNOWN
    if tokens.comes("EXISTS"):
        _attribute(tokens)
        return lambda _: UNKNOWN
    return _comparison(tokens)


def _comparison(tokens: _Tokens) -> _Node:
    attribute, operator, values = _attribute(tokens), tokens.take(), _values(tokens)
    quantifier, _, own = operator.rpartition(":")
    same = _SAME.fullmatch(own)
    if same is None or any(value.startswith("@") for value in values):
        return lambda _: UNKNOWN
    otherwise, every = same["otherwise"] is not None, quantifier.lower().endswith("allvalues")

    def compared(request: Request) -> Truth:
        if (given := request.attributes.get(attribute)) is None:
            return UNKNOWN
        found = [(given.lower() == value) is not otherwise for value in values]
        return all(found) if every else any(found)

    return compared


def _attribute(tokens: _Tokens) -> str:
    token = tokens.take()
    if not token.startswith("@"):
        raise ValueError(f"`{token}` where an attribute is expected")
    return token[1:].lower()


def _values(tokens: _Tokens) -> list[str]:
    """One value or several in braces, in lower case."""
    if not tokens.comes("{"):
        return [_value(tokens.take())]
    values = [_value(tokens.take())]
    while tokens.comes(","):
        values.append(_value(tokens.take()))
    tokens.take("}")
    return values


def _value(token: str) -> str:
    if token in set("(){},!") | {"&&", "||"}:
        raise ValueError(f"`{token}` where a value is expected")
    return token.strip("'").lower()
