"""The history of a contract: its published versions, how they may differ, and who writes and reads which.

A folder holds a contract: `1.avsc`, `2.avsc` and so on, which never change once they are published, and its terms in
`contract.yaml`. `python -m ml_blueprints.contracts check <folder>...` is what CI runs; `publish <folder>` writes down
the fingerprint of a new version. The same check stops a preview before anything is registered.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from ml_blueprints import avro
from ml_blueprints.compatibility import REASONS, Difference, Mode, differences, directions, parse
from ml_blueprints.definitions import Strict, read_yaml
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.explanations import explain

TERMS = "contract.yaml"
_USAGE_ERROR = 2

Versions = Annotated[tuple[int, ...], Field(min_length=1, strict=False)]


class Producer(Strict):
    """A system that writes events of the contract."""

    owner: Annotated[str, Field(min_length=1, description="Who is asked about it")]
    writes: Annotated[Versions, Field(description="The versions that it may write")]


class Consumer(Strict):
    """A system that reads events of the contract."""

    owner: Annotated[str, Field(min_length=1, description="Who is asked about it")]
    reads: Annotated[Versions, Field(description="The versions whose schema it reads by")]


class Terms(Strict):
    """What `contract.yaml` says."""

    owner: Annotated[str, Field(min_length=1, description="Who answers for the contract")]
    compatibility: Annotated[Mode, Field(description="How a version may differ from those before it")]
    producers: Annotated[dict[str, Producer], Field(default_factory=dict, description="Who writes, by name")]
    consumers: Annotated[dict[str, Consumer], Field(default_factory=dict, description="Who reads, by name")]
    published: Annotated[
        dict[int, str], Field(default_factory=dict, description="Fingerprint of each version that never changes again")
    ]


@dataclass(frozen=True)
class History:
    """The versions of a contract, in order, and its terms."""

    folder: Path
    terms: Terms
    versions: Mapping[int, dict[str, Any]]

    @cached_property
    def published(self) -> Mapping[int, dict[str, Any]]:
        """The versions that never change again."""
        return {version: schema for version, schema in self.versions.items() if version in self.terms.published}

    def wrong(self) -> list[str]:
        """All that is wrong with any version, in words."""
        return list(self._wrong(sorted(self.versions), {}))

    def wrong_in_use(self, version: int, workload: str) -> list[str]:
        """What is wrong if this version is what a workload reads by; drafts of other versions are left out."""
        declared = self.terms.consumers.get(workload)
        reader = Consumer(owner=declared.owner if declared else "not declared", reads=(version,))
        wrong = list(self._wrong(sorted({*self.published, version}), {workload: reader}))
        if declared and version not in declared.reads:
            wrong.append(
                f"{TERMS} says that {workload} reads {listed(declared.reads)}; say there what it reads now, so that "
                "producers see whom they would break"
            )
        if not wrong and version not in self.terms.published:
            wrong = [
                f"version {version} is not published; `python -m ml_blueprints.contracts publish {self.folder}` checks "
                f"it and writes its fingerprint into {TERMS}"
            ]
        return wrong

    def _wrong(self, versions: list[int], readers: Mapping[str, Consumer]) -> Iterator[str]:
        if broken := [*self._wrong_files(versions)]:
            yield from broken
            return
        for position, version in enumerate(versions):
            yield from self._wrong_change(version, versions[:position])
        yield from self._wrong_participants({**self.terms.consumers, **readers})

    def _wrong_files(self, versions: list[int]) -> Iterator[str]:
        """Gaps, schemas that are none, and published versions that are not what they were."""
        if gaps := sorted(set(range(1, max(self.versions, default=0) + 1)) - self.versions.keys()):
            yield f"{_files(gaps)} missing in {self.folder}; versions are numbered from 1 on, without a gap"
        if lost := sorted(self.terms.published.keys() - self.versions.keys() - set(gaps)):
            yield f"{TERMS} has the fingerprint of version {lost[0]}, and {_files(lost)} missing in {self.folder}"
        for version in versions:
            schema = self.versions[version]
            if reason := avro.wrong(schema) or _wrong_schema(schema):
                yield f"{self.folder / f'{version}.avsc'} should hold an Avro record: {reason}"
            elif self.terms.published.get(version, fingerprint(schema)) != fingerprint(schema):
                yield (
                    f"version {version} is not what was published: its fingerprint is {fingerprint(schema)}, and "
                    f"{TERMS} has {self.terms.published[version]}; put {version}.avsc back as it was, and make the "
                    f"change in {max(self.versions) + 1}.avsc"
                )

    def _wrong_change(self, version: int, before: list[int]) -> Iterator[str]:
        """How a version differs from those before it in more than its mode allows."""
        mode = self.terms.compatibility
        for direction in directions(mode, version, before):
            reader, writer = f"version {direction.reader}", f"version {direction.writer}"
            for found in self._differences(direction.reader, direction.writer):
                yield (
                    f"{found.sentence(reader, writer)}; {REASONS[mode]}, so {reader} must understand what "
                    f"{writer} writes"
                )

    def _wrong_participants(self, consumers: Mapping[str, Consumer]) -> Iterator[str]:
        """Who is declared to write or read a version that isn't there, and who can't understand whom."""
        declared = [(f"producer {name} writes", producer.writes) for name, producer in self.terms.producers.items()]
        declared += [(f"consumer {name} reads", consumer.reads) for name, consumer in consumers.items()]
        unknown = [(said, number) for said, numbers in declared for number in numbers if number not in self.versions]
        for said, number in unknown:
            yield f"{TERMS}: {said} version {number}, and there is no {number}.avsc"
        if unknown:
            return
        for producer, by in self.terms.producers.items():
            for written in by.writes:
                for consumer, to in consumers.items():
                    if found := self._not_understood(to.reads, written):
                        reason = found.sentence(f"version {max(to.reads)}", f"version {written}")
                        yield (
                            f"{consumer} ({to.owner}) reads {listed(to.reads)} and breaks on version {written}, which "
                            f"{producer} ({by.owner}) writes: {reason}"
                        )

    def _not_understood(self, reads: Iterable[int], written: int) -> Difference | None:
        """Why none of the versions that are read takes what is written, by the newest; None if one does."""
        found = {reader: self._differences(reader, written) for reader in reads}
        return found[max(found)][0] if all(found.values()) else None

    def _differences(self, reader: int, writer: int) -> Sequence[Difference]:
        # What is written is understood by whom it was written for; so Avro is imported only where versions differ.
        return () if reader == writer else differences(self.versions[reader], self.versions[writer])


def history(schema: Path) -> History | None:
    """The history that a schema file belongs to; None for one that lies elsewhere, by itself.

    Raises BlueprintError where a folder of versions is wrong in itself.
    """
    numbered = schema.stem.isdecimal()
    if not (schema.parent / TERMS).exists():
        others = [file.name for file in schema.parent.glob("*.avsc") if file.stem.isdecimal() and file != schema]
        if numbered and others:
            raise BlueprintError(
                str(schema.parent / TERMS),
                [
                    Problem(
                        "(file)", "no such file", f"versions ({schema.name}, {', '.join(sorted(others))}) have terms"
                    )
                ],
            )
        return None
    if not numbered:
        right = "beside it lie versions; one of them is meant, or a file in another folder"
        raise BlueprintError(str(schema), [Problem("(file)", f"`{schema.name}`", right)])
    return load(schema.parent)


def load(folder: Path) -> History:
    """Read a folder of versions. Raises BlueprintError with every field of its terms that is wrong."""
    terms_file = folder / TERMS
    try:
        terms = Terms.model_validate(read_yaml(terms_file, "contract", "owner"))
    except ValidationError as error:
        raise BlueprintError(str(terms_file), explain(error)) from None
    versions = {}
    for file in folder.glob("*.avsc"):
        if not file.stem.isdecimal() or file.stem != str(int(file.stem)):
            raise BlueprintError(str(file), [Problem("(file)", f"`{file.name}`", "a version is 1.avsc, 2.avsc, ...")])
        try:
            versions[int(file.stem)] = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise BlueprintError(
                str(file), [Problem("(file)", "no JSON", f"an Avro schema is JSON: {error}")]
            ) from None
    return History(folder, terms, dict(sorted(versions.items())))


def fingerprint(schema: Mapping[str, Any]) -> str:
    """What tells whether a published version is still what it was: all that it says counts, its layout doesn't.

    Avro's own fingerprint leaves out defaults and logical types, by which consumers read.
    """
    return hashlib.sha256(json.dumps(schema, separators=(",", ":")).encode()).hexdigest()


def listed(versions: Iterable[int]) -> str:
    """`version 1`, or `versions 1, 2`."""
    numbers = sorted(versions)
    return f"version{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def _files(versions: Sequence[int]) -> str:
    return f"{', '.join(f'{version}.avsc' for version in versions)} {'is' if len(versions) == 1 else 'are'}"


def _wrong_schema(schema: Mapping[str, Any]) -> str | None:
    try:
        parse(schema)
    except ValueError as error:
        return str(error)
    return None


def publish(folder: Path) -> list[int]:
    """Write down the fingerprints of the versions that are new, and return these. Raises BlueprintError."""
    contract = load(folder)
    if wrong := contract.wrong():
        raise BlueprintError(
            str(folder), [Problem("(versions)", "what can't be published", reason) for reason in wrong]
        )
    new = [version for version in contract.versions if version not in contract.terms.published]
    if new:
        terms_file = folder / TERMS
        terms_file.write_text(_with_fingerprints(terms_file.read_text(encoding="utf-8"), contract, new), "utf-8")
    return new


def _with_fingerprints(text: str, contract: History, new: Iterable[int]) -> str:
    """The terms with lines added to `published`; comments and the rest stay as they are."""
    lines = "".join(f"  {version}: {fingerprint(contract.versions[version])}\n" for version in new)
    block = re.search(
        r"^published:[ \t]*(?:\{\})?[ \t]*(?:#.*)?\n((?:[ \t]+.*\n|[ \t]*\n)*?)(?=\S|\Z)", text, re.MULTILINE
    )
    if block is None:
        return f"{text.rstrip()}\npublished:\n{lines}"
    written = block.group(1).rstrip("\n")
    before = f"{written}\n" if written else ""
    return f"{text[: block.start()]}published:\n{before}{lines}{text[block.end() :]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check contracts, or publish a version of one; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ml_blueprints.contracts", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="check each contract in these folders, and in the folders in them")
    check.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    publishing = commands.add_parser("publish", help="check a contract, and write down what is new as published")
    publishing.add_argument("folders", nargs=1, type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    found = [terms.parent for folder in options.folders for terms in _terms(folder)]
    if empty := [str(folder) for folder in options.folders if not _terms(folder)]:
        print(f"contracts: no {TERMS} is in {', '.join(empty)}", file=sys.stderr)
        return _USAGE_ERROR
    passed = [_report(folder, options.command) for folder in found]
    return 0 if all(passed) else 1


def _terms(folder: Path) -> list[Path]:
    own = folder / TERMS
    return [own] if own.exists() else sorted(folder.glob(f"*/{TERMS}"))


def _report(folder: Path, command: str) -> bool:
    """Do what is asked with one contract and print what came of it; whether it passed."""
    try:
        if command == "publish":
            new = publish(folder)
            print(f"{folder}: {listed(new)} published" if new else f"{folder}: nothing is new")
            return True
        contract = load(folder)
    except BlueprintError as error:
        print(error, file=sys.stderr)
        return False
    wrong = contract.wrong()
    for reason in wrong:
        print(f"{folder}: {reason}", file=sys.stderr)
    if not wrong:
        print(f"{folder}: {listed(contract.versions)}, {contract.terms.compatibility}")
    return not wrong


if __name__ == "__main__":
    sys.exit(main())
