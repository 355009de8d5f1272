"""`python -m sandbox.provider aws|gcp|azure-native`: one cloud as a provider plugin of the engine.

Prints the port on which it serves, as the engine expects, and ends when the engine says so, on a signal, or with it.
"""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from sandbox.provider.clouds import CLOUDS, open_cloud
from sandbox.provider.control_plane import ControlPlane
from sandbox.provider.protocol import provider_pb2_grpc
from sandbox.provider.servicer import Provider

# The engine works on up to 16 resources at a time unless told otherwise; an injected delay keeps a thread busy.
_THREADS = 32
_PARENT_CHECK_SECONDS = 1.0


def main(arguments: list[str]) -> int:
    """Serve the cloud that the first argument names; the engine passes its own address behind it."""
    engine = os.getppid()
    if not arguments or arguments[0] not in CLOUDS:
        print(f"usage: python -m sandbox.provider {'|'.join(CLOUDS)}", file=sys.stderr)
        return 2
    provider = Provider(ControlPlane(open_cloud(arguments[0])))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: provider.stopping.set())
    # The inputs of one resource may hold a whole pipeline definition.
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=unlimited)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    while not provider.stopping.wait(_PARENT_CHECK_SECONDS) and os.getppid() == engine:
        pass
    server.stop(grace=1).wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
