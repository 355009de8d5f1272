"""The scoring service: `python -m ml_pipelines.serving`. SageMaker calls the image with the word `serve`."""

import sys

from ml_pipelines.serving.server import main

if __name__ == "__main__":
    sys.exit(main())
