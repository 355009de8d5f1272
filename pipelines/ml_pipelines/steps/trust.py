"""What the command lines of steps that take signed models share: whose signatures, and where none is needed."""

import argparse

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ml_pipelines.steps import manifest
from ml_pipelines.steps.errors import StepError


def add_options(made: argparse.ArgumentParser) -> None:
    """Add `--trusted` and `--environment`."""
    made.add_argument(
        "--trusted",
        type=lambda words: words.split(","),
        default=[],
        help="public Ed25519 keys with commas between: files in PEM, or `ed25519:<base64>`",
    )
    made.add_argument(
        "--environment",
        default="production",
        choices=manifest.ENVIRONMENTS,
        help=f"`{manifest.EXPERIMENT}` alone takes models without a signature",
    )


def keys(step: str, options: argparse.Namespace) -> list[Ed25519PublicKey]:
    """The keys that may have signed. Raises StepError for one that isn't any."""
    try:
        return [manifest.public_key(source) for source in options.trusted]
    except manifest.ManifestError as error:
        raise StepError(step, "--trusted", str(error)) from error


def unsigned(options: argparse.Namespace) -> bool:
    """Whether a model without a signature passes."""
    return options.environment == manifest.EXPERIMENT
