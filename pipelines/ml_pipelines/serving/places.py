"""Where a version's folder is: in the registry's place, or where a platform has put the models of a container."""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_pipelines.serving import object_stores
from ml_pipelines.serving.trust import ModelError
from ml_pipelines.steps.manifest import MANIFEST

# Where SageMaker puts a model's files, and beside it those of further ones, each in a folder of its channel's name.
# https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AdditionalModelDataSource.html
SAGEMAKER = Path("/opt/ml/model")
_ADDITIONAL = "additional-model-data-sources"

# So many manifests are looked at, and so many are told of where none is of the version that was asked for.
_MOST, _TOLD = 200, 5

# From name and version to a folder. Raises ModelError where there is none.
Find = Callable[[str, str], Path]


def finder(variables: Mapping[str, str] = os.environ, sagemaker: Path = SAGEMAKER) -> Find:
    """By MODELS, a folder or a URL of an object store, or where the platform put what it was told to.

    A version lies as `<name>/<version>` below, or in any folder whose manifest says its name and version.
    """
    place = variables.get("MODELS") or variables.get("AIP_STORAGE_URI")
    if place and object_stores.is_url(place):
        return lambda name, version: _from_object_store(place, name, version, variables)
    if place or (place := variables.get("AZUREML_MODEL_DIR")):
        return lambda name, version: _in_folders([Path(place)], name, version)
    return lambda name, version: _in_folders([sagemaker, sagemaker.parent / _ADDITIONAL], name, version)


def _in_folders(places: Sequence[Path], name: str, version: str) -> Path:
    seen: list[str] = []
    for place in places:
        named = [place / name / version / MANIFEST, place / MANIFEST]
        below = sorted(place.rglob(MANIFEST))[:_MOST] if place.is_dir() else []
        for file in (*[one for one in named if one.is_file()], *below):
            if (said := _says(_content(file))) == f"{name}/{version}":
                return file.parent
            seen.append(f"{file.parent}: {said}")
    raise _absent(name, version, ", ".join(map(str, places)), seen)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _says(content: bytes) -> str:
    """The version that a manifest names. Whether it is one to be trusted, is seen when it is loaded."""
    try:
        said: Any = json.loads(content)
        return f"{said['name']}/{said['version']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "no manifest"


def _absent(name: str, version: str, where: str, seen: Iterable[str]) -> ModelError:
    found = list(dict.fromkeys(seen))
    others = f"{', '.join(found[:_TOLD])}{' and others' if len(found) > _TOLD else ''}" if found else f"no {MANIFEST}"
    return ModelError(
        f"model {name}/{version}: looked for `{name}/{version}/{MANIFEST}`, and for any {MANIFEST} that names it, "
        f"below {where}; found {others}. MODELS, or what the platform was told to mount, is where versions are"
    )


def _from_object_store(url: str, name: str, version: str, variables: Mapping[str, str]) -> Path:
    """A copy of a version's folder, which lives as long as the process."""
    seen: list[str] = []
    try:
        folder = object_stores.open_folder(url, variables)
        there = folder.names(f"{name}/{version}/")
        below = f"{name}/{version}/" if f"{name}/{version}/{MANIFEST}" in there else None
        if below is None:
            there = folder.names()
            manifests = [one for one in there if one.rpartition("/")[2] == MANIFEST]
            for file in manifests[:_MOST]:
                said = _says(folder.read(file))
                if said == f"{name}/{version}":
                    below = file.removesuffix(MANIFEST)
                    break
                seen.append(f"{file.removesuffix(MANIFEST) or url}: {said}")
        if below is not None:
            copied = Path(tempfile.mkdtemp(prefix=f"{name}-{version}-"))
            for one in there:
                file = one.removeprefix(below)
                if one.startswith(below) and file and "/" not in file:
                    (copied / file).write_bytes(folder.read(one))
            return copied
    except Exception as error:  # Each cloud's libraries have errors of several kinds.
        raise ModelError(f"model {name}/{version}: {url} can't be read: {type(error).__name__}: {error}") from error
    raise _absent(name, version, url, seen)
