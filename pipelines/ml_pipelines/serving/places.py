"""Where a version's folder is: in the registry's place, or where a platform has put the one model of a container."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from ml_pipelines.serving.trust import ModelError
from ml_pipelines.steps.manifest import MANIFEST

# Where SageMaker puts a model's files. https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
SAGEMAKER = Path("/opt/ml/model")

# From name and version to a folder. Raises ModelError where there is none.
Find = Callable[[str, str], Path]


def finder(variables: Mapping[str, str] = os.environ, sagemaker: Path = SAGEMAKER) -> Find:
    """By MODELS (a folder or `gs://`, in which versions lie as `<name>/<version>`), or what the platform set."""
    place = variables.get("MODELS")
    if place and place.startswith("gs://"):
        return lambda name, version: _from_cloud_storage(f"{place}/{name}/{version}", name, version)
    if place:
        return lambda name, version: Path(place) / name / version
    if uri := variables.get("AIP_STORAGE_URI"):
        return lambda name, version: _from_cloud_storage(uri, name, version)
    given = variables.get("AZUREML_MODEL_DIR") or str(sagemaker)
    return lambda name, version: _given(Path(given), name, version)


def _given(folder: Path, name: str, version: str) -> Path:
    """The folder with the manifest: the one that is given, or one below it, as Azure ML keeps the folder's name."""
    for found in (folder, folder / name / version, *sorted(entry.parent for entry in folder.glob(f"*/{MANIFEST}"))):
        if (found / MANIFEST).exists():
            return found
    raise ModelError(f"model {name}/{version}: {folder} holds no {MANIFEST}; set MODELS, or let the platform give it")


def _from_cloud_storage(uri: str, name: str, version: str) -> Path:
    """A copy of a folder of Cloud Storage, which lives as long as the process."""
    from google.cloud import storage

    bucket, _, prefix = uri.removeprefix("gs://").rstrip("/").partition("/")
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-{version}-"))
    try:
        for blob in storage.Client().list_blobs(bucket, prefix=f"{prefix}/", delimiter="/"):
            if file := blob.name.removeprefix(f"{prefix}/"):
                blob.download_to_filename(folder / file)
    except Exception as error:  # The client raises those of google-auth, requests and its own.
        raise ModelError(f"model {name}/{version}: {uri} can't be read: {error}") from error
    return folder
