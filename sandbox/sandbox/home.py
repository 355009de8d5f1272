"""Where the sandbox keeps its things: one place for every path that it writes to."""

import contextlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def home() -> Path:
    """The sandbox's private folder (Pulumi home, backend, state of the three clouds); tests set their own."""
    return Path(os.environ.get("ML_BLUEPRINTS_SANDBOX") or REPOSITORY / ".sandbox").absolute()


@contextlib.contextmanager
def temporary() -> Generator[Path]:
    """An empty sandbox that is gone afterwards, beside the user's own; the folder that it is in."""
    users_own = os.environ.get("ML_BLUEPRINTS_SANDBOX", "")
    with tempfile.TemporaryDirectory(prefix="ml-blueprints-") as folder:
        os.environ["ML_BLUEPRINTS_SANDBOX"] = str(Path(folder) / "sandbox")
        try:
            yield Path(folder)
        finally:
            # An empty name means the default, as `home` reads it.
            os.environ["ML_BLUEPRINTS_SANDBOX"] = users_own


def cache() -> Path:
    """What may be shared between checkouts and is derived from versions alone: engine builds, compiled schemas."""
    # The XDG specification asks to ignore a relative path; here it would mean another folder to each process.
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "ml-blueprints"


def cloud_state(package: str) -> Path:
    """The SQLite file that holds everything that exists on one cloud; `package` is `aws`, `gcp` or `azure-native`."""
    return home() / "clouds" / f"{package}.sqlite"
