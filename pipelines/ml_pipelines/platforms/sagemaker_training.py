"""What SageMaker's jobs of a search start: they call the image with the word `train`, and take no other command.

The command is in the environment, as a JSON list of a module and its arguments.
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-dockerfile.html
"""

import json
import os
import runpy
import sys

COMMAND = "ML_BLUEPRINTS_TRAIN"


def main() -> None:
    """Run the command of the environment in this process. Exits with 2 and what is wrong where there is none."""
    said = os.environ.get(COMMAND, "")
    try:
        module, *arguments = json.loads(said)
    except (TypeError, ValueError):
        right = 'a JSON list is right, such as ["ml_pipelines.steps.trial", "--task", "churn"]'
        print(f"{COMMAND} is `{said}`; {right}", file=sys.stderr)
        sys.exit(2)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
