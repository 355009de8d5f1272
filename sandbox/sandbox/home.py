"""Where the sandbox keeps its things: one place for every path that it writes to."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def home() -> Path:
    """The sandbox's private folder (Pulumi home, backend, state of the three clouds); tests set their own."""
    return Path(os.environ.get("ML_BLUEPRINTS_SANDBOX", REPOSITORY / ".sandbox"))


def cache() -> Path:
    """What may be shared between checkouts and is derived from versions alone: engine builds, compiled schemas."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ml-blueprints"


def cloud_state(package: str) -> Path:
    """The SQLite file that holds everything that exists on one cloud; `package` is `aws`, `gcp` or `azure-native`."""
    return home() / "clouds" / f"{package}.sqlite"
