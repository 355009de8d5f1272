"""What SageMaker's jobs of a search start: the command of the environment."""

import json
import subprocess
import sys

import pytest


def started(said):
    """Start the image's `train` with a command in the environment."""
    environment = {"PATH": "/usr/bin:/bin"} | ({} if said is None else {"ML_BLUEPRINTS_TRAIN": said})
    return subprocess.run(
        [sys.executable, "-m", "ml_pipelines.platforms.sagemaker_training", "train"],
        env=environment,
        capture_output=True,
        text=True,
    )


def test_the_command_of_the_environment_is_run_with_its_exit_code():
    ended = started(json.dumps(["ml_pipelines.steps.trial", "--task", "none-such", "--candidate", "a", "--data", "b"]))
    assert ended.returncode == 2
    assert "the following arguments are required: --to" in ended.stderr


@pytest.mark.parametrize("said", [None, "python -m x", "3", "[]"])
def test_without_a_command_it_says_what_would_be_right(said):
    ended = started(said)
    assert ended.returncode == 2
    assert "a JSON list is right" in ended.stderr
    assert "Traceback" not in ended.stderr
