"""The service as a Lambda function behind API Gateway, and the authorizer that lets tenants in."""

import base64
import io
import json
import subprocess
import sys

import pytest
from botocore.response import StreamingBody
from ml_pipelines import scoring_endpoint
from ml_pipelines.serving import aws_authorizer, aws_lambda
from ml_pipelines.serving.refusal import RefusedError
from ml_pipelines.serving.settings import SettingError

from .conftest import AUDIENCE, ISSUER, OTHER, table, token
from .test_service import EVENT, bearer

METHOD = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/prod/POST/v1/score"
KEYS = {"shop": "key-of-the-shop", "bank": "key-of-the-bank"}


def proxied(path="/v1/score", body=EVENT, headers=None, method="POST", **changed):
    """A request as a REST API hands it to a function."""
    headers = {"Content-Type": "application/json"} | (headers or {})
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": path.lstrip("/")},
        "stageVariables": None,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": "10.0.0.1"}, "authorizer": {"tenant": "shop"}},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    } | changed


class Runtime:
    def __init__(self):
        self.asked = []

    def invoke_endpoint(self, **asked):
        self.asked.append(json.loads(asked["Body"]))
        content = json.dumps({"score": 0.5, "selected": True, "model": "trees/1.0.0"}).encode()
        return {"Body": StreamingBody(io.BytesIO(content), len(content))}


@pytest.fixture
def told(monkeypatch, keys):
    """The environment of both functions."""
    for name, value in {
        "TOKEN_ISSUER": ISSUER,
        "TOKEN_AUDIENCE": AUDIENCE,
        "TOKEN_KEYS": keys.read_text(),
        "API_KEYS": json.dumps(KEYS),
        "ML_BLUEPRINTS_ROUTING": json.dumps(table(tenants={"shop": 100, "bank": 100})),
        "SCORING_ENDPOINT": "fraud-1a2b",
    }.items():
        monkeypatch.setenv(name, value)
    caches = (aws_authorizer._identities, aws_authorizer._api_keys, aws_lambda._adapter)
    for made in caches:
        made.cache_clear()
    yield monkeypatch
    for made in caches:
        made.cache_clear()


@pytest.fixture
def runtime(told):
    made = Runtime()
    told.setattr(scoring_endpoint, "sagemaker_client", lambda: made)
    return made


def test_the_function_answers_as_the_service_does(runtime):
    for _ in range(2):
        answer = aws_lambda.handle(proxied(headers=bearer("shop")), None)
        assert answer["statusCode"] == 200
        assert json.loads(answer["body"]) == {
            "score": 0.5,
            "selected": True,
            "model": "trees/1.0.0",
            "event_id": EVENT["event_id"],
        }
        assert answer["headers"]["content-type"] == "application/json"
    assert runtime.asked == [EVENT | {"parameters": {"tenant": "shop"}}] * 2
    encoded = {"body": base64.b64encode(json.dumps(EVENT).encode()).decode(), "isBase64Encoded": True}
    assert aws_lambda.handle(proxied(headers=bearer("shop"), **encoded), None)["statusCode"] == 200


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (proxied(), 401),
        (proxied(headers=bearer("shop", key=OTHER)), 401),
        (proxied(headers=bearer("shop"), body=None), 400),
        (proxied(headers=bearer("shop"), isBase64Encoded=False, body=None), 400),
        (proxied(headers=bearer("shop"), body="{"), 400),
        (proxied(headers=bearer("shop"), body={"features": {"amount": []}}), 422),
        (proxied("/v1/models/others/score", headers=bearer("shop")), 200),
        (proxied("/nowhere", headers=bearer("shop")), 404),
        (proxied(headers={"Authorization": bearer("shop")["Authorization"], "Content-Type": "text/csv"}), 415),
        ({"Records": []}, 400),
    ],
    ids=range(10),
)
def test_the_function_refuses_as_the_service_does(runtime, event, status):
    # Which models there are for whom is the container's to say.
    answer = aws_lambda.handle(event, None)
    assert answer["statusCode"] == status, answer
    assert len(runtime.asked) == (status == 200)


@pytest.mark.parametrize(
    ("context", "status"),
    [
        ({"authorizer": {"tenant": "shop", "principalId": "shop"}}, 200),
        ({"authorizer": {"tenant": "nobody"}}, 403),
        ({"authorizer": {"tenant": ""}}, 401),
        ({"authorizer": {"tenant": ["shop"]}}, 401),
        ({"authorizer": None}, 401),
        ({}, 401),
    ],
    ids=range(6),
)
def test_the_function_takes_the_tenant_of_the_authorizer_where_it_is_told_so(runtime, told, context, status):
    for name in ("TOKEN_ISSUER", "TOKEN_AUDIENCE", "TOKEN_KEYS"):
        told.delenv(name)
    told.setenv("TENANT_FROM", "authorizer")
    # Whatever a request says of itself counts for nothing.
    headers = bearer("bank") | {"tenant": "bank", "aws.event": "bank"}
    answer = aws_lambda.handle(proxied(headers=headers, requestContext=context), None)
    assert answer["statusCode"] == status
    assert [one["parameters"] for one in runtime.asked] == [{"tenant": "shop"}] * (status == 200)


def asked(kind, said):
    """What an authorizer is asked, by the token alone or with the request."""
    if kind == "TOKEN":
        return {"type": kind, "methodArn": METHOD, **({"authorizationToken": said} if said is not None else {})}
    return {"type": kind, "methodArn": METHOD, "headers": {"authorization": said} if said is not None else None}


@pytest.mark.parametrize("kind", ["TOKEN", "REQUEST"])
def test_a_tenant_is_let_in_and_known_by_the_key_of_its_plan(told, kind):
    for tenant, key in KEYS.items():
        answer = aws_authorizer.handle(asked(kind, bearer(tenant)["Authorization"]), None)
        assert answer == {
            "principalId": tenant,
            "policyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Action": "execute-api:Invoke",
                        "Effect": "Allow",
                        "Resource": "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/prod/*",
                    }
                ],
            },
            "context": {"tenant": tenant},
            "usageIdentifierKey": key,
        }


@pytest.mark.parametrize("kind", ["TOKEN", "REQUEST"])
@pytest.mark.parametrize(
    "said",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic c2hvcDpzaG9w",
        "Bearer forged",
        f"Bearer {token('shop', key=OTHER)}",
        f"Bearer {token('shop', seconds=-60)}",
        f"Bearer {token('shop', aud='another')}",
        f"Bearer {token('shop', iss='another')}",
        f"Bearer {token(None)}",
    ],
    ids=range(11),
)
def test_nobody_is_let_in_without_a_token_that_is_valid(told, kind, said):
    # API Gateway answers 401 to this word alone, and 500 to any other.
    with pytest.raises(aws_authorizer.UnauthorizedError, match=r"^Unauthorized$"):
        aws_authorizer.handle(asked(kind, said), None)


def test_a_tenant_that_isnt_known_is_denied_by_its_policy(told):
    answer = aws_authorizer.handle(asked("TOKEN", bearer("other")["Authorization"]), None)
    assert answer["policyDocument"]["Statement"][0]["Effect"] == "Deny"
    assert answer.keys() == {"principalId", "policyDocument"}


def test_where_the_issuers_keys_cant_be_had_nobody_is_said_to_be_wrong(told):
    told.setenv("TOKEN_KEYS", "http://127.0.0.1:1/keys")
    with pytest.raises(RefusedError, match="no keys of the issuer"):
        aws_authorizer.handle(asked("TOKEN", bearer("shop")["Authorization"]), None)


@pytest.mark.parametrize("said", ["", "{", "[]", "{}", '{"shop": 1}', '{"shop": ""}'])
def test_an_authorizer_without_keys_says_so(told, said):
    told.setenv("API_KEYS", said)
    with pytest.raises(SettingError, match="API_KEYS"):
        aws_authorizer.handle(asked("TOKEN", "Bearer x"), None)


@pytest.mark.parametrize("module", ["aws_lambda", "aws_authorizer"])
def test_a_cold_start_imports_nothing_heavy(module):
    code = f"import sys; import ml_pipelines.serving.{module}\n"
    code += "print({'onnxruntime', 'numpy', 'aiohttp', 'google.auth', 'azure', 'uvicorn'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
