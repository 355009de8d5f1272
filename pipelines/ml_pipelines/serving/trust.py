"""Whose models are loaded, and the error of one that isn't. Nothing heavy is imported: a router needs no more."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class ModelError(Exception):
    """A model that isn't loaded; the message names it and what is wrong."""


@dataclass(frozen=True)
class Trust:
    """Whose models are loaded: those signed with one of the keys, and with `unsigned` those without a signature."""

    keys: Sequence[Ed25519PublicKey] = ()
    unsigned: bool = False
