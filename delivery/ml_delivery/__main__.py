"""The commands that workflows call, and that run on any machine: `python -m ml_delivery comment` and `shadow`.

Exit codes: 0 nothing stands against it, 1 something does, 2 wrong use, or something that couldn't be looked at.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.errors import SandboxError

from ml_delivery.errors import DeliveryError

_USAGE_ERROR = 2
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (DeliveryError, SandboxError, OSError) as error:
        print(f"ml-delivery: {error}", file=sys.stderr)
        return _USAGE_ERROR
    except KeyboardInterrupt:
        print("ml-delivery: stopped", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m ml_delivery", description="Delivery by Git.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    text = "say in Markdown what a change leads to, tried on the sandbox without credentials"
    comment = commands.add_parser("comment", help=text, description=text)
    comment.add_argument("stacks", nargs="*", metavar="STACK", help="all of them if none is named")
    comment.add_argument("--base", default="origin/main", metavar="REF", help="what it is a change of (origin/main)")
    comment.add_argument("--output", type=Path, metavar="FILE", help="a file for the comment instead of the terminal")
    comment.add_argument("--policy-config", type=Path, metavar="FILE", help="the policy pack's configuration")
    comment.add_argument(
        "--parallel", type=int, default=os.cpu_count() or 1, metavar="N", help="stacks at a time (default: CPUs)"
    )
    comment.set_defaults(run=_comment)
    text = "list endpoints, models and the like of an account that no stack owns"
    shadow = commands.add_parser("shadow", help=text, description=text)
    shadow.add_argument("cloud", choices=("aws", "gcp", "azure"))
    shadow.add_argument("states", nargs="+", type=Path, metavar="FILE", help="what `pulumi stack export` wrote, of all")
    shadow.add_argument("--region", metavar="NAME", help="AWS, Google Cloud: the region; needed there")
    shadow.add_argument("--project", metavar="ID", help="Google Cloud: the project; needed there")
    shadow.add_argument("--subscription", metavar="ID", help="Azure: the subscription; needed there")
    shadow.add_argument("--format", choices=("text", "json", "markdown", "sarif"), default="text")
    shadow.add_argument("--output", type=Path, metavar="FILE", help="a file for the report instead of the terminal")
    shadow.add_argument(
        "--also",
        nargs=2,
        action="append",
        default=[],
        metavar=("FORMAT", "FILE"),
        help="one more format, written to a file; may be repeated",
    )
    shadow.set_defaults(run=_shadow)
    return parser


def _comment(options: argparse.Namespace) -> int:
    from ml_delivery import comment, preview

    if options.parallel < 1:
        raise DeliveryError(f"--parallel is {options.parallel}; it must be at least 1")
    plans = preview.of_change(options.base, options.stacks, options.policy_config, options.parallel)
    text = comment.render(plans, options.base)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return int(any(plan.against for plan in plans))


def _shadow(options: argparse.Namespace) -> int:
    from ml_delivery.shadow import check

    return check.run(options)


if __name__ == "__main__":
    sys.exit(main())
