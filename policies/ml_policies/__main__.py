"""The pack on the command line: checks saved states of stacks, without engine, login or cloud.

Exit codes: 0 nothing mandatory is violated, 1 something is, 2 wrong use or input that can't be read.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ml_policies.configuration import Configuration
from ml_policies.configuration_file import ConfigurationError
from ml_policies.framework import FrameworkError, frameworks
from ml_policies.reports import FORMATS, Checked, Report, render
from ml_policies.rule import Level
from ml_policies.rules import RULES
from ml_policies.state import StateError, read_state
from ml_policies.verdict import Judge


class UsageError(ValueError):
    """Something that the command can't do; the message says what, and what to do instead."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (UsageError, ConfigurationError, StateError, FrameworkError) as error:
        for line in str(error).splitlines():
            print(f"ml-policies: {line}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m ml_policies", description="Compliance of ML platforms, as code.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    check = commands.add_parser("check", help="check saved states of stacks")
    what = check.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "files", nargs="*", default=[], type=Path, metavar="FILE", help="what `pulumi stack export` wrote"
    )
    what.add_argument("--stack", action="append", help="a stack to export with the pulumi on PATH; may be repeated")
    _add_choice(check)
    check.add_argument("--format", choices=FORMATS, default="text")
    check.add_argument("--output", type=Path, help="a file for the report instead of the terminal")
    check.add_argument(
        "--also",
        nargs=2,
        action="append",
        default=[],
        metavar=("FORMAT", "FILE"),
        help="one more format, written to a file; may be repeated",
    )
    check.add_argument(
        "--documentation",
        default=os.environ.get("ML_POLICIES_DOCUMENTATION", ""),
        metavar="URL",
        help="where docs/rules.md is published, for links in reports (or ML_POLICIES_DOCUMENTATION)",
    )
    check.set_defaults(run=_check)

    rules = commands.add_parser("rules", help="list the rules, with their levels under a configuration")
    _add_choice(rules)
    rules.add_argument("--format", choices=("text", "json"), default="text")
    rules.set_defaults(run=_rules)

    configuration = commands.add_parser("configuration", help="check configuration files of the pack")
    configuration.add_argument("files", nargs="+", type=Path, metavar="FILE")
    configuration.add_argument("--environment", default="")
    configuration.set_defaults(run=_configuration)
    return parser


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="the file that `--policy-pack-config` takes")
    parser.add_argument("--environment", default="", help="the environment whose levels count")
    parser.add_argument("--framework", action="append", default=[], help="only its rules, and a report by its controls")


def _check(options: argparse.Namespace) -> int:
    wanted = [(options.format, options.output), *((format_, Path(file)) for format_, file in options.also)]
    if unknown := {format_ for format_, _ in wanted} - FORMATS.keys():
        raise UsageError(f"{', '.join(sorted(unknown))} is no format; there are {', '.join(FORMATS)}")
    configuration = _configured(options)
    judge = Judge(configuration)
    if options.stack:
        checked = [_exported(stack, judge) for stack in options.stack]
    else:
        checked = [_read(file, judge) for file in options.files]
    known = frameworks() if configuration.frameworks else {}
    report = Report(
        tuple(checked),
        judge.rules,
        configuration.environment,
        tuple(known[id_] for id_ in configuration.frameworks),
        options.documentation,
    )
    for format_, file in wanted:
        _write(render(report, format_), file)
    return 0 if report.passes else 1


def _rules(options: argparse.Namespace) -> int:
    configuration = _configured(options)
    enabled = {id_: rule for id_, rule in RULES.items() if configuration.level(rule) is not Level.DISABLED}
    if options.format == "json":
        listed = [
            {
                "id": rule.id,
                "sentence": rule.sentence,
                "severity": rule.severity,
                "level": configuration.level(rule),
                "clouds": sorted(rule.clouds),
                "types": sorted(rule.types),
                "references": rule.references,
                "exemptible": rule.exemptible,
                "parameters": {
                    name: {"default": one.default, "schema": one.schema, "meaning": one.meaning}
                    for name, one in rule.parameters.items()
                },
            }
            for rule in enabled.values()
        ]
        _write(json.dumps(listed, indent=2) + "\n", None)
        return 0
    lines = []
    for rule in enabled.values():
        clouds = ",".join(sorted(rule.clouds))
        lines.append(f"{rule.id}  {rule.severity:8}  {configuration.level(rule):9}  {clouds:13}  {rule.sentence}\n")
    _write("".join(lines), None)
    return 0


def _configuration(options: argparse.Namespace) -> int:
    for file in options.files:
        configuration = Configuration.load(file, options.environment)
        print(f"{file}: right, with {len(configuration.exemptions)} exemptions")
    return 0


def _configured(options: argparse.Namespace) -> Configuration:
    return Configuration.load(options.config or {}, options.environment, tuple(options.framework))


def _read(file: Path, judge: Judge) -> Checked:
    stack = read_state(file)
    return Checked(str(file), judge.stack(stack), _lines(file))


def _lines(file: Path) -> dict[str, int]:
    """By URN, the first line of a state on which it is the resource's own."""
    text = file.read_text(encoding="utf-8")
    found: dict[str, int] = {}
    line, counted = 1, 0
    for match in re.finditer(r'^\s*"urn": (".*"),?$', text, re.MULTILINE):
        line, counted = line + text.count("\n", counted, match.start(1)), match.start(1)
        found.setdefault(json.loads(match[1]), line)
    return found


def _exported(stack: str, judge: Judge) -> Checked:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "state.json")
        command = ["pulumi", "stack", "export", "--stack", stack, "--file", str(file), "--non-interactive"]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            raise UsageError(f"pulumi can't be run: {error.strerror}; check an export file instead") from None
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise UsageError(f"`pulumi stack export --stack {stack}` failed: {said[-1] if said else 'no message'}")
        return Checked(stack, judge.stack(read_state(file)))


def _write(text: str, file: Path | None) -> None:
    try:
        if file is None:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        file.write_text(text, encoding="utf-8")
    except BrokenPipeError:
        # Whoever read the report has enough; Python must not tell of it when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise UsageError(f"{file or 'the report'} can't be written: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
