"""A model that was changed, or signed by another, or not at all, isn't used."""

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from ml_pipelines.steps import manifest
from ml_pipelines.steps.manifest import ManifestError, verify

KEY, OTHER = Ed25519PrivateKey.from_private_bytes(b"1" * 32), Ed25519PrivateKey.from_private_bytes(b"2" * 32)
TRUSTED = [KEY.public_key()]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"a model")
    (tmp_path / "verdict.json").write_text("{}")
    said = {"format": 1, "task": "churn", "files": manifest.hashes(tmp_path)}
    (tmp_path / "manifest.json").write_text(json.dumps(said))
    manifest.sign(tmp_path, KEY)
    return tmp_path


def test_what_is_as_it_was_signed_is_taken(folder):
    assert verify(folder, TRUSTED)["task"] == "churn"
    assert verify(folder, [OTHER.public_key(), *TRUSTED])["task"] == "churn"


def change_the_model(folder):
    (folder / "model.onnx").write_bytes(b"another model")


def take_the_model(folder):
    (folder / "model.onnx").unlink()


def add_a_file(folder):
    (folder / "plugin.so").write_bytes(b"")


def change_the_manifest(folder):
    change_the_model(folder)
    said = json.loads((folder / "manifest.json").read_text())
    said["files"] = manifest.hashes(folder)
    (folder / "manifest.json").write_text(json.dumps(said))


def sign_by_another(folder):
    manifest.sign(folder, OTHER)


def forge(folder):
    """Signed by another, who says it was the trusted key."""
    manifest.sign(folder, OTHER)
    said = json.loads((folder / "manifest.sig").read_text())
    said["key"] = manifest.key_id(KEY.public_key())
    (folder / "manifest.sig").write_text(json.dumps(said))


def take_the_signature(folder):
    (folder / "manifest.sig").unlink()


def empty_the_signature(folder):
    (folder / "manifest.sig").write_text("")


def sign_with_no_bytes(folder):
    (folder / "manifest.sig").write_text('{"key": "a", "signature": 5}')


def take_the_manifest(folder):
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change_the_model, r"model\.onnx: was changed: its SHA-256 is "),
        (take_the_model, r"model\.onnx: is missing"),
        (add_a_file, r"plugin\.so: isn't named by the manifest"),
        (change_the_manifest, r"manifest\.sig: doesn't fit manifest\.json"),
        (sign_by_another, r"manifest\.sig: was made with key \w{16}, which isn't trusted"),
        (forge, r"manifest\.sig: doesn't fit manifest\.json"),
        (take_the_signature, r"manifest\.sig: there is none; only the environment `experiment` takes such models"),
        (empty_the_signature, r"manifest\.sig: isn't a signature"),
        (sign_with_no_bytes, r"manifest\.sig: isn't a signature"),
        (take_the_manifest, r"manifest\.json: can't be read"),
    ],
)
def test_what_was_spoiled_is_refused(spoil, message, folder):
    spoil(folder)
    with pytest.raises(ManifestError, match=message):
        verify(folder, TRUSTED)


def test_an_experiment_takes_unsigned_models_but_no_changed_ones(folder):
    take_the_signature(folder)
    assert verify(folder, [], unsigned=True)["task"] == "churn"
    change_the_model(folder)
    with pytest.raises(ManifestError, match="was changed"):
        verify(folder, [], unsigned=True)


def test_an_experiment_takes_no_bad_signature_either(folder):
    forge(folder)
    with pytest.raises(ManifestError, match="doesn't fit"):
        verify(folder, TRUSTED, unsigned=True)


@pytest.mark.parametrize("content", ["[]", "nothing", '{"format": 2}', '{"format": 1}'])
def test_what_is_no_manifest_is_refused(content, folder):
    take_the_signature(folder)
    (folder / "manifest.json").write_text(content)
    with pytest.raises(ManifestError, match=r"manifest\.json: "):
        verify(folder, TRUSTED, unsigned=True)


def test_keys_are_read_from_pem(tmp_path):
    file = tmp_path / "key.pem"
    pkcs8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(KEY.private_bytes(*pkcs8))
    public = tmp_path / "public.pem"
    spki = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    public.write_bytes(KEY.public_key().public_bytes(*spki))
    assert manifest.key_id(manifest.private_key(file).public_key()) == manifest.key_id(manifest.public_key(public))
    rsa = generate_private_key(65537, 2048)
    file.write_bytes(rsa.private_bytes(*pkcs8))
    public.write_bytes(rsa.public_key().public_bytes(*spki))
    for read, wrong in ((manifest.private_key, file), (manifest.public_key, public)):
        with pytest.raises(ManifestError, match="isn't an Ed25519 key"):
            read(wrong)
        wrong.write_text("no key")
        with pytest.raises(ManifestError, match=r"isn't a.* Ed25519 key in PEM"):
            read(wrong)
