"""How Pulumi marks values that aren't plain JSON, in saved states and on the wire, and what rules see instead.

https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/sig/sig.go
"""

import json
from collections.abc import Mapping
from typing import Any

from ml_policies.resource import UNKNOWN

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (the mark of a secret, not one)
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_BYTES = "803fd3297a5875dc03ca845dda5d2a98"
_HIDDEN = "[secret]"

# Texts that stand for what a preview doesn't know: a text, boolean, number, list, asset, archive and object.
UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS = frozenset(
    {
        UNKNOWN_TEXT,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)


def plain(value: Any) -> Any:
    """A value without Pulumi's marks: secrets as what they hide, UNKNOWN for what isn't known.

    A secret that can't be read is a text that says so. Assets, archives and references to resources stay mappings.
    """
    if isinstance(value, str):
        return UNKNOWN if value in _UNKNOWNS else value
    if isinstance(value, Mapping):
        return _marked(value) if _SIGNATURE in value else {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def secret(value: Any) -> dict[str, Any]:
    """A value, marked as a secret."""
    return {_SIGNATURE: _SECRET, "value": value}


def holds_secret(value: Any) -> bool:
    """Whether a marked value is a secret or has one in it."""
    if isinstance(value, Mapping):
        hidden = value.get(_SIGNATURE) == _SECRET or (value.get(_SIGNATURE) == _OUTPUT and value.get("secret", False))
        return bool(hidden) or any(map(holds_secret, value.values()))
    return isinstance(value, list) and any(map(holds_secret, value))


def _marked(value: Mapping[str, Any]) -> Any:
    match value[_SIGNATURE]:
        case str(mark) if mark == _SECRET:
            # A saved state has what it hides as JSON, or encrypted and so without plaintext.
            return plain(json.loads(value["plaintext"])) if "plaintext" in value else plain(value.get("value", _HIDDEN))
        case str(mark) if mark == _OUTPUT:
            return plain(value["value"]) if "value" in value else UNKNOWN
        case str(mark) if mark == _BYTES:
            return value["value"]
    return {name: plain(item) for name, item in value.items()}
