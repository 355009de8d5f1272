"""The contracts that this package carries: schemas by version, found by name or by what an event says of itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from fastavro.schema import fingerprint, to_parsing_canonical_form

FOLDER = Path(__file__).parent


def rabin(schema: Mapping[str, Any]) -> bytes:
    """The eight bytes that name a schema in single-object encoding: CRC-64-AVRO of its canonical form, little-endian.

    https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding
    """
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(dict(schema)), "CRC-64-AVRO"))


@dataclass(frozen=True)
class Contract:
    """A contract with all its versions. versions: number -> Avro record, in order."""

    name: str
    versions: Mapping[int, Mapping[str, Any]]

    @classmethod
    def load(cls, folder: Path) -> "Contract":
        """The contract of a folder with a file per version. Raises LookupError if there is none in it."""
        files = {int(file.stem): file for file in folder.glob("*.avsc") if file.stem.isdigit()}
        if not files:
            raise LookupError(f"no contract is in {folder}: its versions are 1.avsc, 2.avsc, ...")
        read = {version: json.loads(files[version].read_text(encoding="utf-8")) for version in sorted(files)}
        return cls(folder.name, read)

    @property
    def newest(self) -> int:
        """The number of the version that was added last."""
        return max(self.versions)

    def fingerprint(self, version: int) -> bytes:
        """The eight bytes that name this version in single-object encoding."""
        return self._fingerprints[version]

    @cached_property
    def by_fingerprint(self) -> Mapping[bytes, int]:
        """Version numbers by the fingerprint of single-object encoding; the newest, where several are written alike."""
        return {self._fingerprints[version]: version for version in self.versions}

    @cached_property
    def _fingerprints(self) -> Mapping[int, bytes]:
        return {version: rabin(schema) for version, schema in self.versions.items()}


@lru_cache
def contract(name: str) -> Contract:
    """The contract of this name. Raises LookupError, with the names that there are, if it isn't among them."""
    if name not in names():
        raise LookupError(f"no contract `{name}`; there are {', '.join(names())}")
    return Contract.load(FOLDER / name)


def names() -> tuple[str, ...]:
    """The names of all contracts of this package."""
    return tuple(sorted(file.parent.name for file in FOLDER.glob("*/1.avsc")))


def find(fingerprint: bytes) -> tuple[Contract, int]:
    """The contract and the version that the eight bytes of single-object encoding name. Raises LookupError."""
    for name in names():
        found = contract(name)
        if version := found.by_fingerprint.get(fingerprint):
            return found, version
    raise LookupError(f"no contract has a version with the fingerprint {fingerprint.hex()}")
