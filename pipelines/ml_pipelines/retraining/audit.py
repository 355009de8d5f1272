"""The audit trail: who did what to which model, when and why, in lines of JSON that nobody can change unseen.

    python -m ml_pipelines.retraining.audit verify PLACE [--trusted KEY,...] [--head NUMBER:HASH]

It is a file of lines, or a folder of a cloud's object store by its URL, with an object for each record.

Each record holds the hash of the one before it, over its canonical form (RFC 8785), so that a record that was changed,
taken out, put in or moved breaks the chain, and is named by its number. Whoever can write there can also make the
whole chain anew, or cut its end off. Against the first records are signed (Ed25519); against the second the head, which
`verify` prints, is kept elsewhere and given as `--head`.
"""

import argparse
import base64
import binascii
import contextlib
import datetime
import fcntl
import hashlib
import os
import re
import sys
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ml_pipelines.retraining.canonical import canonical, parsed
from ml_pipelines.serving import object_stores
from ml_pipelines.steps import manifest

FORMAT = 1
# What the first record has for the hash of the one before it.
NOTHING_BEFORE = "0" * 64
# What a trail says of itself, where a writer was killed in the middle of a record.
RECOVERED = "trail.recovered"
_FIELDS = {"format", "number", "id", "time", "who", "what", "why", "subject", "hashes", "details", "previous", "hash"}
_SIGNED = {"key", "signature"}
_BROKEN = 3
# The objects of a trail, so many digits that they are in order; how often others may come before.
_OBJECT = re.compile(r"\d{12}\.json")
_ATTEMPTS = 10


class AuditError(Exception):
    """A trail that can't be written, or isn't what was written. `number` is that of the record to blame, if one is."""

    def __init__(self, place: Path | str, number: int | None, what: str) -> None:
        super().__init__(f"{place}: {what}" if number is None else f"{place}: record {number}: {what}")
        self.place, self.number, self.what = place, number, what


@dataclass(frozen=True)
class Event:
    """What is to be told. `who`: a person or a system; `what`: such as `model.promoted`; `why`: a sentence.

    subject: which model, task or run; hashes: of data, code and models, by what each is of; details: anything else.
    """

    who: str
    what: str
    why: str
    subject: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Head:
    """The last record's number and hash. Of a trail without records 0, and zeros."""

    number: int = 0
    hash: str = NOTHING_BEFORE

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Of `NUMBER:HASH`. Raises ValueError."""
        number, _, digest = text.partition(":")
        if not number.isdigit() or len(digest) != 64:
            raise ValueError(f"`{text}` isn't `NUMBER:HASH`, as `verify` prints it")
        return cls(int(number), digest)

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Writer(Protocol):
    """What appends to a trail. Many processes may at a time."""

    def append(self, event: Event) -> dict[str, Any]:
        """Write an event, and return its record when it is there to stay.

        Raises AuditError where the last record isn't what was written, or the event has no canonical form; the trail is
        left as it was.
        """
        ...


def writer(place: Path | str, key: Ed25519PrivateKey | None = None) -> Writer:
    """What appends to the trail of a place: a file, or the URL of a folder. `key` signs what is appended."""
    return ObjectTrail(str(place), key) if object_stores.is_url(str(place)) else Trail(Path(place), key)


class ObjectTrail:
    """A trail in an object store, where a record is created once: who comes second takes the next number."""

    def __init__(
        self,
        url: str,
        key: Ed25519PrivateKey | None = None,
        now: Callable[[], datetime.datetime] = _now,
    ) -> None:
        """`key` signs what is appended; `now` is the clock by which it is dated."""
        self.url, self._key, self._now = url, key, now
        self._folder = object_stores.open_folder(url)

    def append(self, event: Event) -> dict[str, Any]:
        """See Writer."""
        for _ in range(_ATTEMPTS):
            head = self._last()
            record, line = _made(self.url, head, event, self._key, self._now())
            if self._folder.create(_object(record["number"]), line, "application/json"):
                return record
        raise AuditError(self.url, None, f"others were faster {_ATTEMPTS} times; try again")

    def _last(self) -> Head:
        names = [name for name in self._folder.names() if _OBJECT.fullmatch(name)]
        return _head(self.url, self._folder.read(max(names)).removesuffix(b"\n")) if names else Head()


def _object(number: int) -> str:
    return f"{number:012d}.json"


class Trail:
    """A trail in a file. Many processes may append at a time: each waits for the lock of the file."""

    def __init__(
        self,
        file: Path,
        key: Ed25519PrivateKey | None = None,
        now: Callable[[], datetime.datetime] = _now,
    ) -> None:
        """`key` signs what is appended; `now` is the clock by which it is dated."""
        self.file, self._key, self._now = file, key, now

    def append(self, event: Event) -> dict[str, Any]:
        """See Writer. It is on the disk then."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a+b") as stream, _locked(stream):
            head, torn = self._last(stream)
            if torn:
                stream.truncate(stream.seek(0, os.SEEK_END) - len(torn))
                said = {"bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
                why = "A writer was stopped in the middle of a record, which was taken off."
                head = Head(**_part(self._write(stream, head, Event("trail", RECOVERED, why, details=said))))
            return self._write(stream, head, event)

    def _last(self, stream: BinaryIO) -> tuple[Head, bytes]:
        """The head, and what stands after it without an end of line."""
        end = stream.seek(0, os.SEEK_END)
        size = 0
        while True:
            size = min(end, max(2 * size, 65_536))
            stream.seek(end - size)
            tail = stream.read(size)
            whole, _, torn = tail.rpartition(b"\n")
            line = whole.rpartition(b"\n")[2]
            if size == end or len(line) < len(whole):
                break
        return _head(self.file, line) if line else Head(), torn

    def _write(self, stream: BinaryIO, head: Head, event: Event) -> dict[str, Any]:
        record, line = _made(self.file, head, event, self._key, self._now())
        stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())
        return record


def _head(place: Path | str, line: bytes) -> Head:
    """The head of a trail whose last line this is. Raises AuditError."""
    try:
        said = parsed(line)
        head = Head(**_part(said))
        right = _digest(said) == said["hash"]
    except (ValueError, KeyError, TypeError):
        raise AuditError(place, None, "its last line isn't a record; nothing is added to it") from None
    if not right:
        raise AuditError(place, head.number, "was changed: nothing is added to a trail that is broken")
    return head


def _made(
    place: Path | str, head: Head, event: Event, key: Ed25519PrivateKey | None, now: datetime.datetime
) -> tuple[dict[str, Any], bytes]:
    """The record of an event, and its line. Raises AuditError."""
    for name in ("who", "what", "why"):
        if not getattr(event, name).strip():
            raise AuditError(place, None, f"an event says `{name}`; found nothing")
    record: dict[str, Any] = {
        "format": FORMAT,
        "number": head.number + 1,
        "id": str(uuid.uuid4()),
        "time": now.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "who": event.who,
        "what": event.what,
        "why": event.why,
        "subject": event.subject,
        "hashes": dict(event.hashes),
        "details": dict(event.details),
        "previous": head.hash,
    }
    try:
        record["hash"] = _digest(record)
        if key is not None:
            record["key"] = manifest.key_id(key.public_key())
            record["signature"] = base64.b64encode(key.sign(bytes.fromhex(record["hash"]))).decode()
        return record, canonical(record) + b"\n"
    except ValueError as error:
        raise AuditError(place, None, f"`{event.what}` can't be written: {error}") from error


def read(place: Path | str) -> list[dict[str, Any]]:
    """The records of a trail, as they are: `verify` says whether they may be believed. Raises AuditError."""
    try:
        with _lines(place) as lines:
            return [parsed(line) for line in lines]
    except ValueError as error:
        raise AuditError(place, None, f"can't be read: {error}") from error


def kept(place: Path | str) -> list[dict[str, Any]]:
    """The records of a trail that is verified first, of one that hasn't begun none. Raises AuditError."""
    if not object_stores.is_url(str(place)) and not Path(place).exists():
        return []
    return [parsed(line) for _, line in _verified(place, {})]


def verify(place: Path | str, trusted: Sequence[Ed25519PublicKey] = (), head: Head | None = None) -> Head:
    """Look at each record of a trail, a file or the URL of a folder; returns its head.

    trusted: the keys that may have signed: with any of them, each record must be signed. head: one that the trail had
    once, so that it can't have become shorter, or other up to there. Raises AuditError with the first record that isn't
    what was written.
    """
    keys = {manifest.key_id(key): key for key in trusted}
    last = Head()
    for last, _ in _verified(place, keys):
        if head is not None and last.number == head.number and last.hash != head.hash:
            raise AuditError(
                place, last.number, f"has the hash {last.hash[:16]}..., not {head.hash[:16]}... of that head"
            )
    if head is not None and last.number < head.number:
        raise AuditError(
            place, last.number + 1, f"is missing: the trail had {head.number} records, {last.number} are left"
        )
    return last


def _verified(place: Path | str, keys: Mapping[str, Ed25519PublicKey]) -> Iterator[tuple[Head, bytes]]:
    """Each line of a trail, with the head up to it. Raises AuditError where one isn't what was written."""
    last = Head()
    with _lines(place) as lines:
        for number, line in enumerate(lines, 1):
            last = _checked(place, number, line, last, keys)
            yield last, line


@contextlib.contextmanager
def _lines(place: Path | str) -> Generator[Iterable[bytes]]:
    """The lines of a trail, while nobody writes to its file. Raises AuditError where there is none."""
    if object_stores.is_url(str(place)):
        folder = object_stores.open_folder(str(place))
        yield (folder.read(name) for name in sorted(folder.names()))
        return
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(Path(place).open("rb"))
        except OSError as error:
            raise AuditError(place, None, f"can't be read: {error.strerror}") from error
        with _locked(stream, fcntl.LOCK_SH):
            yield stream


def _checked(place: Path | str, number: int, line: bytes, last: Head, keys: Mapping[str, Ed25519PublicKey]) -> Head:
    """The head with one record more. Raises AuditError."""
    if not line.endswith(b"\n"):
        raise AuditError(place, number, "is cut short: a writer was stopped, or its end was cut off")
    try:
        said = parsed(line)
    except ValueError as error:
        raise AuditError(place, number, f"isn't JSON: {error}") from error
    if not isinstance(said, dict) or set(said) - _SIGNED != _FIELDS or said["format"] != FORMAT:
        raise AuditError(place, number, f"isn't a record of format {FORMAT}")
    try:
        digest, whole = _digest(said), canonical(said)
    except ValueError as error:
        raise AuditError(place, number, f"was changed: {error}") from error
    if said["hash"] != digest:
        raise AuditError(place, number, f"was changed: its hash is {digest[:16]}..., not {str(said['hash'])[:16]}...")
    if whole + b"\n" != line:
        raise AuditError(place, number, "was written anew: its form isn't the canonical one")
    if said["number"] != number or said["previous"] != last.hash:
        # What is true in itself stands at the wrong place.
        raise AuditError(place, number, _misplaced(said, number, last))
    if keys:
        _signed(place, number, said, keys)
    return Head(number, digest)


def _misplaced(said: Mapping[str, Any], number: int, last: Head) -> str:
    found = said["number"]
    if found == number:
        return "doesn't follow the record before it: one of them was exchanged, or put in"
    if isinstance(found, int) and found > number:
        return f"is missing or was moved: the record {found} stands at its place"
    return f"is one too many: the record {found} stands here, after {last.number}: it was put in, or moved"


def _signed(place: Path | str, number: int, said: Mapping[str, Any], keys: Mapping[str, Ed25519PublicKey]) -> None:
    key = keys.get(said.get("key", ""))
    if key is None:
        raise AuditError(place, number, f"is signed by {said.get('key', 'nobody')}; trusted are {', '.join(keys)}")
    try:
        key.verify(base64.b64decode(said.get("signature", ""), validate=True), bytes.fromhex(said["hash"]))
    except (InvalidSignature, binascii.Error, TypeError) as error:
        raise AuditError(place, number, "has a signature that isn't of its key") from error


def _digest(record: Mapping[str, Any]) -> str:
    """The SHA-256 of a record without its own hash and what signs it."""
    said = {name: value for name, value in record.items() if name not in ("hash", *_SIGNED)}
    return hashlib.sha256(canonical(said)).hexdigest()


def _part(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"number": record["number"], "hash": record["hash"]}


@contextlib.contextmanager
def _locked(stream: BinaryIO, how: int = fcntl.LOCK_EX) -> Generator[None]:
    fcntl.flock(stream, how)
    try:
        yield
    finally:
        fcntl.flock(stream, fcntl.LOCK_UN)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns 0, 2 where something can't be read, 3 where the trail isn't what was written."""
    parser = argparse.ArgumentParser(prog="python -m ml_pipelines.retraining.audit", description=__doc__)
    verifying = parser.add_subparsers(dest="command", required=True).add_parser("verify", help="look at each record")
    verifying.add_argument("place", help="a file, or the URL of a folder")
    verifying.add_argument(
        "--trusted", default="", help="public keys that sign, with commas: PEM, or `ed25519:<base64>`"
    )
    verifying.add_argument("--head", help="NUMBER:HASH that the trail had once, as printed by an earlier `verify`")
    options = parser.parse_args(arguments)
    try:
        keys = [manifest.public_key(word) for word in options.trusted.split(",") if word]
        head = verify(options.place, keys, Head.parse(options.head) if options.head else None)
    except AuditError as error:
        print(f"audit: {error}", file=sys.stderr)
        return 2 if error.number is None else _BROKEN
    except (manifest.ManifestError, ValueError) as error:
        print(f"audit: {error}", file=sys.stderr)
        return 2
    said = "each signed by a trusted key" if keys else "signatures weren't asked for"
    print(f"{options.place}: {head.number} records, none changed; {said}\nhead {head}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
