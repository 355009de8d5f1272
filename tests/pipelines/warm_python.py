"""A `python` for tests that start many programs: the libraries that most of them need are imported already.

The steps of a pipeline import scikit-learn and its like for one to two seconds each, and a test starts dozens. A server
imports the libraries, nothing of ours, and forks for each program that it is asked for, which then runs as
`python -m <module>` does: with the arguments, environment, folder and standard streams of whoever asked, up to the
interpreter's own end. That steps start without it, the tests of steps show, which start them with `sys.executable`.
"""

import contextlib
import gc
import importlib
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

# Not DuckDB and onnxruntime: a fork loses their threads, for which the program would wait for ever.
_LIBRARIES = (
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "fastavro",
    "ibis.backends.sql.compilers",
    "jinja2",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "onnx",
    "pyarrow.compute",
    "pyarrow.parquet",
    "sklearn.ensemble",
    "sklearn.linear_model",
)

# A program that takes longer than any does, on the slowest machine, has lost a thread.
_PATIENCE_SECONDS = 300

# What is called as `python`: without the site's packages it starts in some 20 milliseconds.
_CALLER = """\
#!{python} -IS
import os, socket, sys

assert sys.argv[1] == "-m", sys.argv
parts = [os.getcwd(), str(len(sys.argv)), *sys.argv, *(f"{{name}}={{value}}" for name, value in os.environ.items())]
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"."], [0, 1, 2])
    server.sendall("\\0".join(parts).encode(errors="surrogateescape"))
    server.shutdown(socket.SHUT_WR)
    server.settimeout({patience})
    code = int(server.recv(16) or 1)
sys.exit(code)
"""


@contextlib.contextmanager
def warm_python(folder: Path) -> Generator[Path]:
    """The path of such a `python` in an empty folder, as long as its server is there."""
    address, caller = folder / "socket", folder / "python"
    caller.write_text(_CALLER.format(python=sys.executable, address=str(address), patience=_PATIENCE_SECONDS))
    caller.chmod(0o755)
    with subprocess.Popen([sys.executable, "-P", __file__, address], stdout=subprocess.PIPE) as server:
        assert server.stdout
        server.stdout.readline()
        try:
            yield caller
        finally:
            server.terminate()


def _serve(address: str) -> list[str]:
    """Fork for each program; returns its arguments in the process that is to run it, and never in the server."""
    for name in _LIBRARIES:
        importlib.import_module(name)
    # Otherwise each program copies all of it when it ends, to see what is garbage.
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        print("ready", flush=True)
        while True:
            asked, _ = listening.accept()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if os.fork():
                asked.close()
                continue
            listening.close()
            return _become(asked)


def _become(asked: socket.socket) -> list[str]:
    """In a process of the server's: fork once more and tell the caller how that process ends, which is the program."""
    _, streams, _, _ = socket.recv_fds(asked, 1, 3)
    said = b"".join(iter(lambda: asked.recv(1 << 16), b""))
    if program := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
        # As a shell has it for one that a signal ended.
        asked.sendall(str(code if code >= 0 else 128 - code).encode())
        os._exit(0)
    asked.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    folder, count, *parts = said.decode(errors="surrogateescape").split("\0")
    arguments, variables = parts[: int(count)], parts[int(count) :]
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variable.split("=", 1) for variable in variables)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.executable = arguments[0]
    sys.path.insert(0, folder)
    return arguments


if __name__ == "__main__":
    _, _, module, *rest = _serve(sys.argv[1])
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
