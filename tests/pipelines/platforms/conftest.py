"""What the runs of compiled pipelines have in common: the archive of a real workload, and a key that signs."""

from collections.abc import Generator
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from ml_pipelines.platforms import local
from ml_pipelines.tasks import find
from tests.pipelines.warm_python import warm_python


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """What pipelines start as `python`, in a folder of its own."""
    with warm_python(tmp_path_factory.mktemp("python")) as caller:
        yield caller


@pytest.fixture(scope="session")
def everyone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of all events of the churn workload, on real data."""
    log, _ = local.history(find("churn"), tmp_path_factory.mktemp("history"), seed=1)
    return log


@pytest.fixture(scope="session")
def archive(everyone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of archived events: those of every other customer, who are enough to learn from."""
    events, folder = pq.read_table(everyone), tmp_path_factory.mktemp("archive")
    customers = pc.unique(events["customer_id"])[::2]
    pq.write_table(events.filter(pc.is_in(events["customer_id"], customers)), folder / everyone.name)
    return folder


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key that signs."""
    file = tmp_path_factory.mktemp("key") / "key.pem"
    file.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file
