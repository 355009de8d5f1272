"""How a contract may change from version to version, and who breaks when it does.

A contract is a folder: `1.avsc`, `2.avsc` and so on, and `contract.yaml`, which says who owns it, which changes it
takes, who writes and reads which versions, and the fingerprint of each published version. `Workload.load` asks
`History` before anything is built; `python -m ml_blueprints.contracts` asks it in CI.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_blueprints import avro
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.explanations import explain

FILE = "contract.yaml"

Compatibility = Literal["BACKWARD", "BACKWARD_ALL", "FORWARD", "FORWARD_ALL", "FULL", "FULL_ALL"]

# What each rule is for, for those whose change it stops.
PROMISES = {
    "BACKWARD": "BACKWARD lets consumers take a new version first: it must read what the version before wrote",
    "FORWARD": "FORWARD lets producers take a new version first: the version before must read what it writes",
    "FULL": "FULL lets producers and consumers change in any order: each version must read the other",
}

Schema = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class Break:
    """Why a reader can't take what a writer wrote: the field (dotted where it lies in another) and the reason."""

    field: str
    reason: str

    def __str__(self) -> str:
        return f"field `{self.field}`: {self.reason}" if self.field else self.reason


def breaks(reader: Schema, writer: Schema) -> list[Break]:
    """What keeps a reader of one schema from reading what was written by another; empty if nothing does.

    Types are compared by Apache Avro's own checker, field by field, so that the field can be told. What it lets
    pass and we don't: a change of the logical type, which would silently change the meaning of a number.
    """
    return sorted(_record_breaks(reader, writer, ""))


def _record_breaks(reader: Schema, writer: Schema, prefix: str) -> Iterator[Break]:
    written = {written["name"]: written for written in writer["fields"]}
    for wanted in reader["fields"]:
        name = f"{prefix}{wanted['name']}"
        found = next(
            (written[alias] for alias in (wanted["name"], *wanted.get("aliases", ())) if alias in written), None
        )
        if found is None:
            if "default" not in wanted:
                yield Break(name, "the writer has no such field, and the reader has no default for it")
        else:
            yield from _type_breaks(wanted["type"], found["type"], name)


def _type_breaks(reader: Any, writer: Any, name: str) -> Iterator[Break]:
    if _is_record(reader) and _is_record(writer):
        yield from _record_breaks(reader, writer, f"{name}.")
        return
    if (asked := _logical(reader)) != (given := _logical(writer)):
        yield Break(name, f"the reader takes it as {asked or 'no logical type'}, the writer means {given or 'none'}")
        return
    # The library is loaded where there is a history only: most previews have none to check.
    from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
    from avro.schema import parse

    result = ReaderWriterCompatibilityChecker().get_compatibility(parse(json.dumps(reader)), parse(json.dumps(writer)))
    if result.compatibility is not SchemaCompatibilityType.compatible:
        yield Break(name, f"the reader takes {_said(reader)}, the writer gives {_said(writer)}")


def _is_record(avro_type: Any) -> bool:
    return isinstance(avro_type, Mapping) and avro_type.get("type") == "record"


def _logical(avro_type: Any) -> str | None:
    """The logical type of a type, or of the branch of a union that isn't null."""
    if isinstance(avro_type, list):
        return next(filter(None, map(_logical, avro_type)), None)
    return avro_type.get("logicalType") if isinstance(avro_type, Mapping) else None


def _said(avro_type: Any) -> str:
    return f"`{avro_type}`" if isinstance(avro_type, str) else f"`{json.dumps(avro_type)}`"


def fingerprint(schema: Schema) -> str:
    """SHA-256 of what a schema says, but for its documentation, whose words may be mended."""
    text = json.dumps(_undocumented(schema), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _undocumented(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {key: _undocumented(value) for key, value in part.items() if key != "doc" or not isinstance(value, str)}
    return [_undocumented(item) for item in part] if isinstance(part, list) else part


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


_Versions = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, strict=False)]


class Producer(_Strict):
    """Who writes events, and by which versions."""

    name: str
    writes: _Versions


class Consumer(_Strict):
    """Who reads events, and by which versions."""

    name: str
    reads: _Versions


class Declaration(_Strict):
    """What contract.yaml says."""

    owner: str
    compatibility: Compatibility
    producers: Annotated[tuple[Producer, ...], Field(strict=False)] = ()
    consumers: Annotated[tuple[Consumer, ...], Field(strict=False)] = ()
    published: Annotated[dict[int, str], Field(default_factory=dict)]


@dataclass(frozen=True)
class History:
    """All versions of a contract, in order, and what is declared of it."""

    folder: Path
    versions: Mapping[int, Schema]
    declaration: Declaration

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a contract's folder. Raises BlueprintError with what can't be read."""
        file = folder / FILE
        try:
            declaration = Declaration.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
        except OSError as error:
            found = (error.strerror or str(error)).lower()
            raise BlueprintError(str(file), [Problem("(file)", found, "a contract says here who owns it")]) from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            found = str(error).splitlines()[0]
            raise BlueprintError(str(file), [Problem("(file)", found, "a contract's declaration is YAML")]) from None
        except ValidationError as error:
            raise BlueprintError(str(file), explain(error)) from None
        return cls(folder, _versions(folder), declaration)

    def before(self, version: int) -> dict[int, Schema]:
        """The versions that were there before this one."""
        return {number: schema for number, schema in self.versions.items() if number < version}

    def problems(self, version: int, user: str | None = None) -> list[Problem]:
        """What speaks against this version in use (by the workload `user`): changed files, rules, people who break."""
        file = f"`{version}.avsc`"
        if version not in self.versions:
            return [Problem("version", file, f"{self.folder} has the versions {', '.join(map(str, self.versions))}")]
        return [
            *self._edited(),
            *(Problem("compatibility", file, reason) for reason in self._incompatible(version)),
            *(Problem("participants", file, reason) for reason in self._who_breaks(version, user)),
        ]

    def _edited(self) -> Iterator[Problem]:
        for version, expected in self.declaration.published.items():
            if version not in self.versions:
                yield Problem(f"published.{version}", f"no {version}.avsc", "a published version stays where it is")
            elif fingerprint(self.versions[version]) != expected:
                yield Problem(
                    f"published.{version}",
                    f"another {version}.avsc",
                    f"a published version never changes; put the change into {max(self.versions) + 1}.avsc",
                )

    def _incompatible(self, version: int) -> Iterator[str]:
        mode = self.declaration.compatibility
        direction, transitive = mode.removesuffix("_ALL"), mode.endswith("_ALL")
        earlier = self.before(version)
        compared = earlier if transitive else dict(list(earlier.items())[-1:])
        new = self.versions[version]
        for number, old in compared.items():
            if direction in ("BACKWARD", "FULL"):
                for broken in breaks(reader=new, writer=old):
                    yield f"version {version} can't read version {number}: {broken}. {PROMISES[direction]}"
            if direction in ("FORWARD", "FULL"):
                for broken in breaks(reader=old, writer=new):
                    yield f"version {number} can't read version {version}: {broken}. {PROMISES[direction]}"

    def _who_breaks(self, version: int, user: str | None) -> Iterator[str]:
        """Consumers that can't read what some producer writes, the workload that uses this version among them."""
        declared = self.declaration
        readers = [(consumer.name, number) for consumer in declared.consumers for number in consumer.reads]
        if user is not None and (user, version) not in readers:
            if any(consumer.name == user for consumer in declared.consumers):
                yield f"{FILE} says that consumer `{user}` reads other versions; add {version} to its `reads`"
            readers.append((user, version))
        known = ", ".join(map(str, self.versions))
        for name, number in readers:
            if number not in self.versions:
                yield f"consumer `{name}` reads version {number}, and there are {known}"
        for producer in declared.producers:
            for written in producer.writes:
                if written not in self.versions:
                    yield f"producer `{producer.name}` writes version {written}, and there are {known}"
                    continue
                for name, number in readers:
                    if number not in self.versions or number == written:
                        continue
                    for broken in breaks(reader=self.versions[number], writer=self.versions[written]):
                        yield (
                            f"consumer `{name}` breaks: it reads version {number}, producer `{producer.name}` writes "
                            f"version {written}; {broken}"
                        )


def _versions(folder: Path) -> dict[int, Schema]:
    numbers = sorted(int(file.stem) for file in folder.glob("*.avsc") if file.stem.isdigit())
    return {number: read(folder / f"{number}.avsc") for number in numbers}


def read(file: Path) -> dict[str, Any]:
    """The Avro record of a file. Raises BlueprintError that says what is wrong with it."""
    try:
        schema = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        found = (error.strerror or str(error)).lower()
        raise BlueprintError(str(file), [Problem("(file)", found, "an Avro schema is expected here")]) from None
    except (ValueError, RecursionError) as error:
        raise BlueprintError(str(file), [Problem("(file)", str(error), "an Avro schema is JSON")]) from None
    if reason := avro.wrong(schema):
        raise BlueprintError(str(file), [Problem("(file)", "something else", f"an Avro record: {reason}")])
    return schema


def main(arguments: Sequence[str] | None = None) -> int:
    """`check` all contracts of some folders, or `publish` the newest version of one; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ml_blueprints.contracts", description=(__doc__ or "").splitlines()[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="check every version of every contract below these folders")
    check.add_argument("folders", nargs="+", type=Path)
    publish = commands.add_parser("publish", help="check the newest version and write down its fingerprint")
    publish.add_argument("folder", type=Path)
    chosen = parser.parse_args(arguments)
    try:
        return _check(chosen.folders) if chosen.command == "check" else _publish(chosen.folder)
    except BlueprintError as error:
        print(error, file=sys.stderr)
        return 1


def _check(folders: Sequence[Path]) -> int:
    found = sorted({file.parent for folder in folders for file in folder.rglob(FILE)})
    if not found:
        print(f"no {FILE} is below {' or '.join(map(str, folders))}", file=sys.stderr)
        return 1
    failed = 0
    for folder in found:
        history = History.load(folder)
        problems = {problem: None for version in history.versions for problem in history.problems(version)}
        unpublished = [number for number in history.versions if number not in history.declaration.published]
        for problem in problems:
            print(f"{folder / FILE}: {problem}", file=sys.stderr)
        failed += bool(problems)
        state = f"; {', '.join(map(str, unpublished))} not yet published" if unpublished else ""
        verdict = "broken" if problems else "good"
        print(f"{folder.name}: {len(history.versions)} versions, {history.declaration.compatibility}, {verdict}{state}")
    return 1 if failed else 0


def _publish(folder: Path) -> int:
    history = History.load(folder)
    newest = max(history.versions)
    if problems := history.problems(newest):
        raise BlueprintError(str(folder / FILE), problems)
    published = {number: fingerprint(schema) for number, schema in history.versions.items()}
    if published == history.declaration.published:
        print(f"{folder.name}: version {newest} is published already")
        return 0
    file = folder / FILE
    kept = file.read_text(encoding="utf-8").split("published:")[0].rstrip()
    lines = [f"  {number}: {print_}" for number, print_ in published.items()]
    file.write_text("\n".join([kept, "published:", *lines]) + "\n", encoding="utf-8")
    print(f"{folder.name}: version {newest} is published")
    return 0


if __name__ == "__main__":
    sys.exit(main())
