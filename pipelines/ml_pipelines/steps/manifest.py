"""What a model came from, signed: the serving runtime trusts no file that the manifest doesn't name by its hash.

manifest.json is plain JSON; manifest.sig holds an Ed25519 signature of its bytes and which key made it. Who serves
imports this at its start: it needs neither numpy nor an ONNX runtime, no tasks, and none of their libraries.
"""

import base64
import binascii
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ml_pipelines.contracts import catalog
from ml_pipelines.platforms import secrets
from ml_pipelines.steps.files import sha256

if TYPE_CHECKING:
    from ml_pipelines.tasks.task import Task

# The second format names derivations. A runtime that knows none would serve such a model with inputs missing, and so
# refuses it.
FORMAT, DERIVING = 1, 2
PREFIX = "ed25519:"
# The environments of stacks, of which the first alone takes models without a signature.
EXPERIMENT = "experiment"
ENVIRONMENTS = (EXPERIMENT, "staging", "production")
MANIFEST, SIGNATURE, MODEL = "manifest.json", "manifest.sig", "model.onnx"
_OWN = (MANIFEST, SIGNATURE)
_PLANS = Path(__file__).parents[1] / "features" / "plans"


class ManifestError(Exception):
    """A model that must not be used; the message names the file and what is wrong with it."""


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a folder by its name, but for the manifest and its signature."""
    return {file.name: sha256(file) for file in sorted(folder.iterdir()) if file.name not in _OWN}


def contract(task: "Task") -> dict[str, Any] | None:
    """The contract of the events that the task's examples are made of: name, version, fingerprint."""
    if task.contract is None:
        return None
    found = catalog.contract(task.contract)
    return {"name": found.name, "version": found.newest, "fingerprint": found.fingerprint(found.newest).hex()}


def features(task: "Task") -> str | None:
    """The version of the features: the hash of their compiled definition, the same as the stream processor's."""
    if task.workload is None:
        return None
    return sha256(_PLANS / f"{task.workload.replace('-', '_')}.json")


def copy(version: Path, to: Path) -> None:
    """Copy a version. Its manifest comes last: what isn't whole is no version, and mounts can't rename folders."""
    shutil.copytree(version, to, ignore=shutil.ignore_patterns(MANIFEST), dirs_exist_ok=True)
    shutil.copyfile(version / MANIFEST, to / MANIFEST)


def sign(folder: Path, key: Ed25519PrivateKey) -> None:
    """Write the signature of the folder's manifest beside it."""
    signature = {
        "key": key_id(key.public_key()),
        "signature": base64.b64encode(key.sign((folder / MANIFEST).read_bytes())).decode(),
    }
    (folder / SIGNATURE).write_text(json.dumps(signature, indent=2) + "\n", encoding="utf-8")


def verify(folder: Path, trusted: Sequence[Ed25519PublicKey], unsigned: bool = False) -> dict[str, Any]:
    """The manifest of a folder, after all has been checked: signature, key, the hash of each file, no file beside them.

    trusted: the keys that may sign. `unsigned` lets a model pass that has no signature: in the environment `experiment`
    alone. Raises ManifestError.
    """
    manifest = folder / MANIFEST
    try:
        content = manifest.read_bytes()
    except OSError as error:
        raise ManifestError(f"{manifest}: can't be read: {error.strerror}") from error
    if (folder / SIGNATURE).exists():
        _check_signature(folder / SIGNATURE, content, trusted)
    elif not unsigned:
        raise ManifestError(f"{folder / SIGNATURE}: there is none; only the environment `experiment` takes such models")
    said = _parsed(manifest, content)
    there = hashes(folder)
    for name, wanted in said["files"].items():
        if name not in there:
            raise ManifestError(f"{folder / name}: is missing")
        if there[name] != wanted:
            raise ManifestError(f"{folder / name}: was changed: its SHA-256 is {there[name]}, not {wanted}")
    if beside := set(there) - set(said["files"]):
        raise ManifestError(f"{folder / min(beside)}: isn't named by the manifest")
    return said


def _check_signature(file: Path, content: bytes, trusted: Sequence[Ed25519PublicKey]) -> None:
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        signature, by = base64.b64decode(said["signature"], validate=True), said["key"]
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise ManifestError(f"{file}: isn't a signature: {error}") from error
    keys = {key_id(key): key for key in trusted}
    if by not in keys:
        raise ManifestError(
            f"{file}: was made with key {by}, which isn't trusted; those that are: {', '.join(keys) or 'none'}"
        )
    try:
        keys[by].verify(signature, content)
    except InvalidSignature as error:
        raise ManifestError(f"{file}: doesn't fit {MANIFEST}, which was changed, or signed by another") from error


def _parsed(file: Path, content: bytes) -> dict[str, Any]:
    try:
        said = json.loads(content)
    except ValueError as error:
        raise ManifestError(f"{file}: isn't JSON: {error}") from error
    if not isinstance(said, dict) or said.get("format") not in (FORMAT, DERIVING):
        raise ManifestError(f"{file}: isn't a manifest of format {FORMAT} or {DERIVING}")
    if (said["format"] == DERIVING) is not ("derivations" in said):
        raise ManifestError(f"{file}: `derivations` are named in format {DERIVING}, and in no other")
    if not isinstance(said.get("files"), Mapping):
        raise ManifestError(f"{file}: `files` is missing")
    return said


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the raw key."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def private_key(source: Path | str) -> Ed25519PrivateKey:
    """The key of a PEM file, as `openssl genpkey -algorithm ed25519` writes it, or of a cloud's secret.

    source: a file, or a reference as `ml_pipelines.platforms.secrets` takes it. Raises ManifestError for another key.
    """
    try:
        secret = secrets.is_reference(str(source))
        pem = secrets.read(str(source)) if secret else Path(source).read_bytes()
        key = serialization.load_pem_private_key(pem, password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm, secrets.SecretError) as error:
        raise ManifestError(f"{source}: isn't an Ed25519 key in PEM: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ManifestError(f"{source}: isn't an Ed25519 key; `openssl genpkey -algorithm ed25519` makes one")
    return key


def public_key(source: Path | str) -> Ed25519PublicKey:
    """The public key of a PEM file, or of a word such as `ed25519:<32 bytes in base64>`. Raises ManifestError."""
    if str(source).startswith(PREFIX):
        try:
            return Ed25519PublicKey.from_public_bytes(base64.b64decode(str(source).removeprefix(PREFIX), validate=True))
        except ValueError as error:
            raise ManifestError(f"{source}: isn't `{PREFIX}` and 32 bytes in base64: {error}") from error
    try:
        key = serialization.load_pem_public_key(Path(source).read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ManifestError(f"{source}: isn't a public Ed25519 key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ManifestError(f"{source}: isn't an Ed25519 key")
    return key


def as_word(key: Ed25519PublicKey) -> str:
    """A public key in one word, as stacks name it in `trusted_keys`."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return PREFIX + base64.b64encode(raw).decode()
