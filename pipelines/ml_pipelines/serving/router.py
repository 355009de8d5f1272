"""Who answers whom: champion and canaries by their shares, the same entity by the same version.

Rendezvous hashing with weights: each version draws a number from the entity's name, and the largest answers. When a
share changes, entities move only to a version whose share has grown or from one whose share has shrunk.
"""

import hashlib
import math
import os
from collections.abc import Sequence

from ml_pipelines.serving.table import Entry, Role

# As many bits as a float holds with half a unit more, so that none is 0 or 1.
_BITS = 52


class Router:
    """The versions of one tenant, or of all that have none of their own."""

    __slots__ = ("_only", "_weighted", "answering", "champion", "shadows")

    def __init__(self, entries: Sequence[Entry]):
        """Where only shadows or members are there, as behind a platform's own router, the first of them answers."""
        answering = [entry for entry in entries if entry.role in (Role.CHAMPION, Role.CANARY)]
        # A platform's own router has decided already when a container holds a single version.
        self.shadows = tuple(entry for entry in entries if entry.role is Role.SHADOW) if answering else ()
        self.answering = tuple(answering or entries[:1])
        self.champion = next((entry for entry in answering if entry.role is Role.CHAMPION), self.answering[0])
        shares = [(entry, entry.traffic) for entry in self.answering if entry.traffic > 0]
        self._only = self.champion if not shares else shares[0][0] if len(shares) == 1 else None
        self._weighted = tuple((entry, _short(entry.key.encode()), share) for entry, share in shares)

    def pick(self, entity: str | None) -> Entry:
        """The version that answers an entity; without one, any by its share."""
        if self._only is not None:
            return self._only
        name = os.urandom(8) if entity is None else entity.encode()
        best, chosen = -1.0, self.champion
        for entry, key, share in self._weighted:
            drawn = int.from_bytes(hashlib.blake2b(name, digest_size=8, key=key).digest()) >> (64 - _BITS)
            height = -share / math.log((drawn + 0.5) * 2**-_BITS)
            if height > best:
                best, chosen = height, entry
        return chosen


def _short(key: bytes) -> bytes:
    """A key of a version as blake2b takes it, of 64 bytes at most."""
    return key if len(key) <= 64 else hashlib.blake2b(key, digest_size=32).digest()
