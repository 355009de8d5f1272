"""The floor: a bare Starlette handler with ONNX Runtime and orjson, which checks nothing and knows one model."""

import os
import sys

import numpy as np
import onnxruntime
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

settings = onnxruntime.SessionOptions()
settings.intra_op_num_threads = settings.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], settings, providers=["CPUExecutionProvider"])
names = [item.name for item in session.get_inputs()]


async def score(request: Request) -> Response:
    features = orjson.loads(await request.body())["features"]
    columns = {name: np.array([[features[name]]], dtype=np.float64) for name in names}
    scores = session.run(None, columns)[0]
    return Response(orjson.dumps({"score": float(scores[0, 0])}), media_type="application/json")


async def health(request: Request) -> Response:
    return Response("ok")


if __name__ == "__main__":
    application = Starlette(routes=[Route("/v1/score", score, methods=["POST"]), Route("/health", health)])
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",
    )
