"""What exists in an account, and by which name a stack's state knows the same thing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_AFTER_PROJECT = re.compile(r"^(?:https?://[^/]+/[^/]+/|//[^/]+/)?projects/[^/]+/(locations/.+)$")
_VERSION = re.compile(r"@[\w-]+$")


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing: its kind, such as `endpoint`, the id that its cloud gives, a name for people, and its tags."""

    kind: str
    id: str
    name: str
    created: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """By which it is compared with states."""
        return key(self.id)


@dataclass(slots=True)
class Inventory:
    """What an account has, where it was looked for, and what couldn't be listed: kind and reason."""

    place: str
    things: list[Thing] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def key(identifier: str) -> str:
    """An id as two sides agree on it.

    Google's API names a project by its number where a state has its name, and a model's version after `@`. SageMaker
    writes names into ARNs in lower case; Azure's ids don't tell case apart.
    """
    within = _AFTER_PROJECT.match(identifier)
    return (_VERSION.sub("", within[1]) if within else identifier).rstrip("/").lower()
