"""Debugging messages of Pulumi's SDK stay in the program, where they would go to the engine one by one.

The SDK says four times for each resource what it is at. Each is a call that the program waits for, and an event that
the engine writes down; together they take a sixth of a preview. Only `pulumi --debug` shows them: where somebody wants
that, ML_BLUEPRINTS_DEBUG=true lets them through (docs/decisions/0005-lean-imports.md).
"""

import os
from typing import Any

from pulumi import log


def install() -> None:
    """From now on, say nothing of what is for debugging, unless ML_BLUEPRINTS_DEBUG is set."""
    if not os.environ.get("ML_BLUEPRINTS_DEBUG"):
        log.debug = _nothing


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Take what `pulumi.log.debug` takes."""
