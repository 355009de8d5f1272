"""The last step of a pipeline on Azure Machine Learning: the registered version goes where deployments look for it.

The service's own registry takes what a step left as a model under one name for the pipeline. Which candidate it is, and
of which version, is known only then, so that no path of the pipeline can say it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.files import read_json
from ml_pipelines.steps.manifest import MANIFEST, copy

STEP = "publish"


def publish(model: Path, to: Path) -> Path:
    """Copy a registered version to `<to>/<name>/<version>`; returns that folder.

    Raises StepError, with nothing written, where the version is there already, or `model` is no registered one.
    """
    said = read_json(STEP, model / MANIFEST)
    if not said.get("name") or not said.get("version"):
        raise StepError(STEP, str(model / MANIFEST), "names no version: `register` writes one that does")
    folder = to / said["name"] / said["version"]
    if (folder / MANIFEST).exists():
        raise StepError(STEP, str(folder), "is there already; a version never changes")
    copy(model, folder)
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0, or 2 where the step could not do its work."""
    parser = argparse.ArgumentParser("python -m ml_pipelines.platforms.azureml_publish", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="the folder that `register` wrote")
    parser.add_argument("--to", type=Path, required=True, help="the folder of all models")
    options = parser.parse_args(arguments)
    try:
        folder = publish(options.model, options.to)
    except StepError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps({"published": str(folder)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
