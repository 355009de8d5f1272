"""The service's own interface as OpenAPI 3.1, with the inputs of the model that answers."""

from typing import Any

from ml_pipelines.serving.ask import Described
from ml_pipelines.serving.kinds import CATEGORY, FLAG, NUMBER
from ml_pipelines.serving.protocols import LONGEST_NAME, MOST_ROWS

_TYPES: dict[str, list[str]] = {NUMBER: ["number", "null"], FLAG: ["boolean", "null"], CATEGORY: ["string", "null"]}
_STATUSES = {
    "400": "The body isn't JSON",
    "401": "The token is missing, forged or expired",
    "403": "The token is of no tenant that is known",
    "404": "No such model is served to you",
    "408": "The body came too slowly",
    "413": "The body, or the number of instances, is too large",
    "415": "The body is said to be something else than JSON",
    "422": "A field is wrong; `field` names it",
    "429": "More requests than the tenant may make",
    "500": "The model has no score",
    "503": "Features, members or keys can't be had now",
}


def document(workload: str, model: Described, beside: frozenset[str], tenants: bool) -> dict[str, Any]:
    """The interface of a workload's service. `beside` are names that are let pass though no input takes them."""
    properties: dict[str, Any] = {name: {"type": _TYPES[kind]} for name, kind in (model.inputs or {}).items()}
    properties |= {name: {} for name in sorted(beside - properties.keys())}
    name = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}
    one = {
        "type": "object",
        "required": ["features"],
        "properties": {
            "entity": name | {"description": "Whose it is: the same entity is answered by the same version"},
            "event_id": name | {"description": "By which the answer is known, and labels are joined"},
            "features": {"type": "object", "properties": properties, "additionalProperties": model.inputs is None},
        },
    }
    answer = {
        "type": "object",
        "required": ["score", "model"],
        "properties": {
            "score": {"type": "number"},
            "selected": {"type": ["boolean", "null"], "description": "Whether the score is acted upon"},
            "model": {"type": "string", "description": "Name and version, or the ensemble's method"},
            "event_id": {"type": "string"},
            "missing": {"type": "array", "items": {"type": "string"}, "description": "Inputs that weren't known"},
            "degraded": {"type": "object", "description": "What should have answered and didn't, and why"},
            "members": {"type": "object", "description": "An ensemble's members' scores"},
        },
    }
    error = {
        "type": "object",
        "required": ["error", "field", "found", "right"],
        "properties": {part: {"type": "string"} for part in ("error", "field", "found", "right")},
    }
    several = {
        "type": "object",
        "required": ["instances"],
        "properties": {
            "instances": {"type": "array", "minItems": 1, "maxItems": MOST_ROWS, "items": {"$ref": _of("Ask")}}
        },
    }
    predictions = {"type": "object", "properties": {"predictions": {"type": "array", "items": {"$ref": _of("Answer")}}}}
    score: dict[str, Any] = {
        "summary": f"Scores of {workload}",
        "operationId": "score",
        "requestBody": {
            "required": True,
            "content": _json({"oneOf": [{"$ref": _of("Ask")}, {"$ref": _of("Several")}]}),
        },
        "responses": {
            "200": {
                "description": "One answer, or one for each instance",
                "content": _json({"oneOf": [{"$ref": _of("Answer")}, {"$ref": _of("Predictions")}]}),
            },
            **{
                status: {"description": said, "content": _json({"$ref": _of("Error")})}
                for status, said in _STATUSES.items()
            },
        },
    }
    components: dict[str, Any] = {
        "schemas": {"Ask": one, "Several": several, "Answer": answer, "Predictions": predictions, "Error": error}
    }
    if tenants:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
        score["security"] = [{"token": []}]
    return {
        "openapi": "3.1.0",
        "info": {"title": workload, "version": "1", **({"summary": f"Task `{model.task}`"} if model.task else {})},
        "paths": {"/v1/score": {"post": score}},
        "components": components,
    }


def _of(name: str) -> str:
    return f"#/components/schemas/{name}"


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
