"""The service as an AWS Lambda function behind API Gateway: `ml_pipelines.serving.aws_lambda.handle`.

It is the router of an endpoint of SageMaker. An execution environment has one request at a time: rates of tenants are
held by the API's usage plans, for all of them together.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from mangum import Mangum

from ml_pipelines.serving import telemetry
from ml_pipelines.serving.service import service
from ml_pipelines.serving.settings import Settings


@lru_cache(maxsize=1)
def _adapter() -> Mangum:
    """The application that the environment describes, made once in an execution environment."""
    telemetry.set_up_logging()
    # Lambda freezes the process and never ends it in an orderly way.
    return Mangum(service(Settings.read()).application, lifespan="off")


def handle(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Answer a request as API Gateway hands it over to a function (`AWS_PROXY`).

    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
    """
    if "requestContext" not in event:
        said = json.dumps({"error": "event: found none of API Gateway; a Lambda proxy integration is right"})
        return {"statusCode": 400, "headers": {"content-type": "application/json"}, "body": said}
    return _adapter()(dict(event), context)
