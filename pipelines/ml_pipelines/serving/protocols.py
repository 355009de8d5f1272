"""How requests and answers are written: the service's own form, which clouds carry, and the Open Inference Protocol.

Own, and on SageMaker, Vertex AI and Azure ML: `{"entity", "event_id", "features": {...}}` for one answer, or
`{"instances": [{...}]}` for several, each of which is such an object or the features themselves. The Open Inference
Protocol is version 2: https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from ml_pipelines.serving.ask import Answer, Ask, Described
from ml_pipelines.serving.kinds import CATEGORY, FLAG, NUMBER
from ml_pipelines.serving.refusal import BAD_REQUEST, NOT_FOUND, TOO_LARGE, UNPROCESSABLE, RefusedError, shown

MOST_ROWS = 1000
LONGEST_NAME = 1024
# Deeper than any request is; orjson itself takes 1,024 levels.
_DEEPEST = 8

# Types of the Open Inference Protocol by kind of input, the first of which is said in metadata.
_V2_TYPES: Mapping[str, tuple[str, ...]] = {
    NUMBER: ("FP64", "FP32", "FP16", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8"),
    FLAG: ("BOOL", "FP64", "FP32", "INT64", "INT32", "INT8", "UINT8"),
    CATEGORY: ("BYTES",),
}
_KINDS = {"BYTES": CATEGORY, "BOOL": FLAG}


def parsed(body: bytes) -> dict[str, Any]:
    """A body as an object. Raises RefusedError with the place at which it isn't JSON, or the field that is NaN."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _unreadable(body, error) from None
    if type(said) is not dict:
        raise RefusedError(BAD_REQUEST, "body", shown(said), "an object in JSON is right")
    return said


def _unreadable(body: bytes, error: orjson.JSONDecodeError) -> RefusedError:
    # Python's parser takes what JSON doesn't have: NaN and infinities, which are told by the field.
    try:
        place = _not_finite(json.loads(body), "", 0)
    except (ValueError, RecursionError):
        place = None
    if place is not None:
        return RefusedError(BAD_REQUEST, place, "NaN or an infinite number", "null is right where a value isn't known")
    found = f"no JSON at line {error.lineno}, column {error.colno}"
    return RefusedError(BAD_REQUEST, "body", found, "an object in JSON, in UTF-8, is right")


def _not_finite(value: Any, where: str, depth: int) -> str | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else where or "body"
    if depth >= _DEEPEST:
        return None
    items = (
        ((f"{where}.{key}" if where else str(key), item) for key, item in value.items())
        if isinstance(value, dict)
        else ((f"{where}[{place}]", item) for place, item in enumerate(value))
        if isinstance(value, list)
        else ()
    )
    return next((found for at, item in items if (found := _not_finite(item, at, depth + 1)) is not None), None)


def own(said: dict[str, Any]) -> tuple[Ask, bool]:
    """What is asked in the service's own form, and whether it is one of several. Raises RefusedError."""
    features = said.get("features")
    if features is not None:
        if type(features) is not dict:
            raise RefusedError(UNPROCESSABLE, "features", shown(features), "an object of inputs by name is right")
        return Ask([features], [_name(said, "entity", "")], [_name(said, "event_id", "")]), False
    instances = said.get("instances")
    if type(instances) is not list or not instances:
        found = "nothing" if instances is None else shown(instances)
        raise RefusedError(UNPROCESSABLE, "features", found, "`features`, or a list of `instances`, is right")
    if len(instances) > MOST_ROWS:
        raise RefusedError(TOO_LARGE, "instances", f"{len(instances)} of them", f"{MOST_ROWS} at most are right")
    ask = Ask([], [], [])
    for place, one in enumerate(instances):
        where = f"instances[{place}]"
        if type(one) is not dict:
            raise RefusedError(UNPROCESSABLE, where, shown(one), "an object is right")
        row = one.get("features", one)
        if type(row) is not dict:
            raise RefusedError(UNPROCESSABLE, f"{where}.features", shown(row), "an object of inputs by name is right")
        whole = row is not one
        ask.rows.append(row)
        ask.entities.append(_name(one, "entity", f"{where}.") if whole else None)
        ask.event_ids.append(_name(one, "event_id", f"{where}.") if whole else None)
    return ask, True


class Told(NamedTuple):
    """What a router tells beside the rows: whose they are, and which version was asked for."""

    tenant: str | None
    model: str | None
    version: str | None


def told_by_router(said: Mapping[str, Any]) -> Told:
    """What stands in `parameters`, as `forward.py` writes it. Raises RefusedError for anything else."""
    parameters = said.get("parameters") or {}
    if type(parameters) is not dict:
        raise RefusedError(UNPROCESSABLE, "parameters", shown(parameters), "an object is right")
    return Told(*(_name(parameters, name, "parameters.") for name in Told._fields))


def _name(said: Mapping[str, Any], name: str, where: str) -> str | None:
    value = said.get(name)
    if value is None or (type(value) is str and 0 < len(value) <= LONGEST_NAME):
        return value
    right = f"a string of 1 to {LONGEST_NAME} characters is right"
    raise RefusedError(UNPROCESSABLE, where + name, shown(value), right)


def own_answer(
    ask: Ask,
    answer: Answer,
    several: bool,
    each: bool = False,
    kept: Sequence[Mapping[str, Any]] | None = None,
) -> bytes:
    """The answer in the service's own form. With `each` of several says what lacked: Vertex AI hands on no more.

    kept: what is kept of each row, where the answer is what keeps it.
    """
    beside: dict[str, Any] = {}
    if answer.missing:
        beside["missing"] = answer.missing
    if answer.degraded:
        beside["degraded"] = answer.degraded
    if not several:
        said = _one(ask, answer, 0, kept) | beside
        if answer.members:
            said["members"] = {name: scores[0] for name, scores in answer.members.items()}
        return orjson.dumps(said)
    predictions = [_one(ask, answer, place, kept) for place in range(len(ask.rows))]
    if each:
        return orjson.dumps({"predictions": [one | beside for one in predictions]})
    return orjson.dumps({"predictions": predictions, **beside})


def _one(ask: Ask, answer: Answer, place: int, kept: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    said: dict[str, Any] = {
        "score": answer.scores[place],
        "selected": answer.selected[place],
        "model": answer.models[place],
    }
    if (event_id := ask.event_ids[place]) is not None:
        said["event_id"] = event_id
    if kept is not None:
        said["row"] = kept[place]
    return said


def v2(said: dict[str, Any], name: str, version: str | None, kinds: Mapping[str, str] | None) -> Ask:
    """What is asked by the Open Inference Protocol of what has inputs of these kinds. Raises RefusedError.

    Where the kinds aren't known here, a tensor's type says which it is.
    """
    tensors = said.get("inputs")
    if type(tensors) is not list or not tensors:
        found = "nothing" if tensors is None else shown(tensors)
        raise RefusedError(BAD_REQUEST, "inputs", found, "a list of tensors is right")
    columns: dict[str, list[Any]] = {}
    size = None
    for place, tensor in enumerate(tensors):
        where = f"inputs[{place}]"
        if type(tensor) is not dict or type(tensor.get("name")) is not str:
            raise RefusedError(BAD_REQUEST, f"{where}.name", "nothing", "name, shape, datatype and data are right")
        named = tensor["name"]
        if kinds is None:
            kind = _KINDS.get(str(tensor.get("datatype")), NUMBER)
        elif named in kinds:
            kind = kinds[named]
        else:
            right = f"the inputs are {', '.join(kinds)}"
            raise RefusedError(BAD_REQUEST, f"{where}.name", f"`{named[:100]}`, which isn't an input", right)
        if named in columns:
            raise RefusedError(BAD_REQUEST, f"{where}.name", f"`{named}` twice", "each input once is right")
        if tensor.get("datatype") not in _V2_TYPES[kind]:
            right = f"for `{named}` one of {', '.join(_V2_TYPES[kind])} is right"
            raise RefusedError(BAD_REQUEST, f"{where}.datatype", shown(tensor.get("datatype")), right)
        rows = _rows(tensor.get("shape"), where)
        if size is not None and rows != size:
            raise RefusedError(BAD_REQUEST, f"{where}.shape", f"{rows} rows", f"{size}, as of the others, are right")
        size = rows
        data = _flat(tensor.get("data"), where, rows)
        if tensor["datatype"] == "BOOL" or kind != FLAG:
            columns[named] = data
        else:
            columns[named] = [bool(value) if value in (0, 1) else value for value in data]
    parameters = said.get("parameters") or {}
    if type(parameters) is not dict:
        raise RefusedError(BAD_REQUEST, "parameters", shown(parameters), "an object is right")
    entity = _name(parameters, "entity", "parameters.")
    event_id = _name(said, "id", "")
    count = size or 0
    rows_of = [{name: values[row] for name, values in columns.items()} for row in range(count)]
    return Ask(rows_of, [entity] * count, [event_id] * count, name, version)


def _rows(shape: Any, where: str) -> int:
    good = type(shape) is list and 1 <= len(shape) <= 2 and all(type(size) is int and size > 0 for size in shape)
    if not good or shape[1:] not in ([], [1]):
        raise RefusedError(BAD_REQUEST, f"{where}.shape", shown(shape), "[rows] or [rows, 1] is right")
    if shape[0] > MOST_ROWS:
        raise RefusedError(TOO_LARGE, f"{where}.shape", f"{shape[0]} rows", f"{MOST_ROWS} at most are right")
    return shape[0]


def _flat(data: Any, where: str, rows: int) -> list[Any]:
    if type(data) is not list:
        raise RefusedError(BAD_REQUEST, f"{where}.data", shown(data), "a list of values is right")
    flat = [value[0] if type(value) is list and len(value) == 1 else value for value in data]
    if len(flat) != rows:
        raise RefusedError(BAD_REQUEST, f"{where}.data", f"{len(flat)} values", f"{rows}, as the shape says, are right")
    return flat


def v2_answer(said: Mapping[str, Any], ask: Ask, answer: Answer) -> bytes:
    """The answer by the Open Inference Protocol. The version is that of the first row's model."""
    name, _, version = answer.models[0].partition("/")
    rows = len(ask.rows)
    outputs: list[dict[str, Any]] = [{"name": "score", "shape": [rows], "datatype": "FP64", "data": answer.scores}]
    if None not in answer.selected:
        outputs.append({"name": "selected", "shape": [rows], "datatype": "BOOL", "data": answer.selected})
    wanted = said.get("outputs")
    if type(wanted) is list and wanted:
        names = [one.get("name") if type(one) is dict else None for one in wanted]
        for place, one in enumerate(names):
            if one not in ("score", "selected"):
                right = "`score` or `selected` is right"
                raise RefusedError(BAD_REQUEST, f"outputs[{place}].name", shown(one), right)
        outputs = [output for output in outputs if output["name"] in names]
    document: dict[str, Any] = {"model_name": ask.model or name, "outputs": outputs}
    if version:
        document["model_version"] = version
    if "id" in said:
        document["id"] = said["id"]
    parameters: dict[str, Any] = {"model": answer.models[0]}
    if answer.degraded:
        parameters["degraded"] = ", ".join(answer.degraded)
    document["parameters"] = parameters
    return orjson.dumps(document)


def v2_metadata(name: str, model: Described) -> dict[str, Any]:
    """A model as the Open Inference Protocol describes it. -1 is a size that requests choose. Raises RefusedError."""
    if model.inputs is None:
        found = "inputs that the platform's endpoint alone knows"
        raise RefusedError(NOT_FOUND, "model", found, "`/openapi.json` says which names are taken")
    outputs = [{"name": "score", "datatype": "FP64", "shape": [-1]}]
    if model.threshold is not None:
        outputs.append({"name": "selected", "datatype": "BOOL", "shape": [-1]})
    return {
        "name": name,
        "versions": list(model.versions),
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": field, "datatype": _V2_TYPES[kind][0], "shape": [-1, 1]} for field, kind in model.inputs.items()
        ],
        "outputs": outputs,
    }
