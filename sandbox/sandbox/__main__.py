"""The sandbox's commands: `python -m sandbox up`, `preview`, `down`, `shell`, `engine`, and those on the clouds."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from sandbox import home, project
from sandbox.errors import SandboxError

_USAGE_ERROR = 2
_INTERRUPTED = 130
_READER_GONE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 1 if a stack failed, 2 for what the user can put right."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = options.func(options) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever reads has seen enough, as in `list | head`; what is left is written nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    except (SandboxError, OSError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return _USAGE_ERROR
    except KeyboardInterrupt:
        print("sandbox: stopped", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="The real Pulumi engine without a cloud.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text in (
        ("up", "create or update the stacks (all of them if none is named)"),
        ("preview", "show what `up` would do"),
        ("down", "destroy the stacks and say what remains"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("stacks", nargs="*", metavar="STACK")
        command.add_argument(
            "--parallel", type=int, default=os.cpu_count() or 1, metavar="N", help="stacks at a time (default: CPUs)"
        )
        command.add_argument(
            "--checkpoints", action="store_true", help="save the state at every step, as on a real cloud (slower)"
        )
        command.set_defaults(func=_operate, operation=name)
    policy = commands.add_parser("policy", help="preview the stacks with the policy pack, and count what it finds")
    policy.add_argument("stacks", nargs="*", metavar="STACK")
    policy.add_argument("--pack", default=str(home.REPOSITORY / "policies"), metavar="DIR", help="the pack's folder")
    policy.add_argument("--config", metavar="FILE", help="the pack's configuration")
    policy.add_argument("--parallel", type=int, default=os.cpu_count() or 1, metavar="N", help="stacks at a time")
    policy.set_defaults(func=_policy)
    shell = commands.add_parser("shell", help="a shell, or one command after --, in which `pulumi` uses the sandbox")
    shell.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    shell.set_defaults(func=_shell)
    engine = commands.add_parser("engine", help="only find, download or build the Pulumi engine")
    engine.set_defaults(func=_engine)
    _register_control(commands)
    return parser


def _register_control(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from sandbox import control

    control.register(commands)


def _operate(options: argparse.Namespace) -> int:
    # Imported here, as `shell`, `list` and the like should start at once.
    from sandbox.progress import Progress, print_summary
    from sandbox.session import open_session
    from sandbox.stacks import Batch, Operation, Phase, StackRun

    operation = Operation[options.operation.upper()]
    runs = [StackRun(name) for name in _chosen_stacks(options.stacks)]
    if options.parallel < 1:
        raise SandboxError(f"--parallel is {options.parallel}; it must be at least 1")
    console = Console()
    started = time.monotonic()
    batch = Batch(open_session(console), operation, options.parallel, options.checkpoints)
    with Progress(console, runs) as progress:
        completed = batch.run(runs, progress.show)
    print_summary(console, operation, runs, time.monotonic() - started)
    if operation is Operation.DOWN:
        console.print(_remains())
    if not completed:
        raise KeyboardInterrupt
    return int(any(run.phase is not Phase.DONE for run in runs))


def _policy(options: argparse.Namespace) -> int:
    from sandbox.policy import check

    if options.parallel < 1:
        raise SandboxError(f"--parallel is {options.parallel}; it must be at least 1")
    pack, configuration = Path(options.pack).absolute(), options.config and Path(options.config).absolute()
    return check(_chosen_stacks(options.stacks), pack, configuration, options.parallel)


def _chosen_stacks(names: Sequence[str]) -> list[str]:
    known = project.stack_names(home.REPOSITORY)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SandboxError(f"there is no stack {', '.join(unknown)}; the stacks are {', '.join(known)}")
    return list(dict.fromkeys(names)) or known


def _remains() -> str:
    """What the sandbox's clouds still hold, in one line."""
    from sandbox.session import PLUGINS
    from sandbox.store import Store

    counts = {}
    for package in PLUGINS:
        if home.cloud_state(package).exists():
            store = Store(home.cloud_state(package))
            counts[package] = len(store.find())
            store.close()
    left = ", ".join(f"{count} on {package}" for package, count in counts.items() if count)
    return f"Remaining in the sandbox: {left or 'nothing'}."


def _shell(options: argparse.Namespace) -> int:
    from sandbox.session import open_session

    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    # Whatever is said on the way must not mix with the output of the command.
    session = open_session(Console(stderr=True))
    if not command:
        print("Plain `pulumi` commands now work on the sandbox; try `pulumi stack ls`. Leave with `exit`.", flush=True)
        command = [os.environ.get("SHELL", "bash")]
    # Ctrl-C belongs to the command; a handler, unlike SIG_IGN, is not inherited by it.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        code = subprocess.run(command, cwd=session.project, env=session.environment).returncode
    except OSError as error:
        raise SandboxError(f"{command[0]} cannot be run: {error.strerror}") from None
    # As shells have it for what a signal ended.
    return code if code >= 0 else 128 - code


def _engine(options: argparse.Namespace) -> int:
    from sandbox.engine import find_or_build

    engine = find_or_build(Console(stderr=True))
    print(f"Pulumi {engine.version}, {engine.origin}: {engine.folder}")
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
