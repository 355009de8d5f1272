"""The command: what it prints and writes, how it ends, and what it says of wrong use."""

import io
import json
import os
import subprocess
import sys
import time

import pytest
from ml_policies.__main__ import main
from ml_policies.framework import frameworks
from ml_policies.reports import FORMATS
from ml_policies.rules import RULES

# An endpoint without a key breaks MLB-ENC-001, and perhaps others.
ENDPOINT = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
FAKE_PULUMI = """#!{python}
import pathlib, sys
if "broken" in sys.argv:
    sys.exit("error: no stack named 'broken' found")
arguments = dict(zip(sys.argv, sys.argv[1:]))
pathlib.Path(arguments["--file"]).write_text({state!r})
"""


def state(*resources):
    """A saved state, as `pulumi stack export` writes it."""
    saved = [
        {"urn": f"urn:pulumi:prod::shop::{type_}::{name}", "type": type_, "inputs": inputs}
        for type_, name, inputs in resources
    ]
    return json.dumps({"version": 3, "deployment": {"resources": saved}}, indent=4)


@pytest.fixture
def bad(tmp_path):
    file = tmp_path / "bad.json"
    file.write_text(state(("pulumi:pulumi:Stack", "shop-prod", {}), (ENDPOINT, "scoring", {})))
    return file


@pytest.fixture
def good(tmp_path):
    file = tmp_path / "good.json"
    file.write_text(state(("pulumi:pulumi:Stack", "shop-prod", {}), ("random:index/randomId:RandomId", "id", {})))
    return file


@pytest.fixture
def config(tmp_path):
    def written(content):
        file = tmp_path / "policies.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(file)

    return written


@pytest.fixture
def pulumi(tmp_path, monkeypatch):
    """A pulumi on PATH that has one stack."""
    folder = tmp_path / "bin"
    folder.mkdir()
    file = folder / "pulumi"
    file.write_text(FAKE_PULUMI.format(python=sys.executable, state=state((ENDPOINT, "scoring", {}))))
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_a_violation_ends_with_1_and_says_what_and_where(bad, capsys):
    assert main(["check", str(bad)]) == 1
    out = capsys.readouterr().out
    assert "MLB-ENC-001 high  aws:sagemaker/endpointConfiguration:EndpointConfiguration scoring" in out
    assert "Failed: " in out.splitlines()[-1]


def test_nothing_mandatory_ends_with_0(good, bad, config, capsys):
    assert main(["check", str(good)]) == 0
    assert main(["check", str(bad), "--config", config({"all": "advisory"})]) == 0
    assert "Advisory violations" in capsys.readouterr().out


def test_several_files_are_one_report(good, bad, capsys):
    assert main(["check", str(good), str(bad), "--format", "json"]) == 1
    assert [one["passes"] for one in json.loads(capsys.readouterr().out)["stacks"]] == [True, False]


def test_the_environment_decides(bad, config):
    file = config({"settings": {"levels": {"experiment": {"all": "advisory"}}}})
    assert main(["check", str(bad), "--config", file, "--environment", "experiment"]) == 0
    assert main(["check", str(bad), "--config", file, "--environment", "production"]) == 1


def test_a_framework_is_a_pack_and_a_part_of_the_report(bad, capsys):
    main(["check", str(bad), "--framework", "nist-ai-rmf", "--framework", "soc-2", "--format", "json"])
    content = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in content["frameworks"]] == ["nist-ai-rmf", "soc-2"]
    chosen = frameworks()["nist-ai-rmf"].rules | frameworks()["soc-2"].rules
    assert {id_ for id_, rule in content["rules"].items() if rule["status"] != "disabled"} == chosen


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_can_be_written_to_a_file(bad, tmp_path, format_, capsys):
    output = tmp_path / "report"
    assert main(["check", str(bad), "--format", format_, "--output", str(output)]) == 1
    assert "MLB-ENC-001" in output.read_text()
    assert capsys.readouterr().out == ""


def test_sarif_has_the_line_in_the_export_and_the_address_of_the_rule(bad, capsys):
    main(["check", str(bad), "--format", "sarif", "--documentation", "https://example.com/rules.md"])
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert "::scoring" in bad.read_text().splitlines()[place["region"]["startLine"] - 1]
    assert run["tool"]["driver"]["rules"][0]["helpUri"].startswith("https://example.com/rules.md#")


def test_a_stack_is_exported_by_pulumi(pulumi, capsys):
    assert main(["check", "--stack", "org/shop/prod", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["stacks"][0]["name"] == "org/shop/prod"


def test_rules_are_listed(capsys, config):
    assert main(["rules"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(RULES)
    assert main(["rules", "--config", config({"MLB-ENC-001": "disabled"})]) == 0
    assert "MLB-ENC-001" not in capsys.readouterr().out


def test_rules_are_listed_as_json(capsys):
    assert main(["rules", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in listed] == list(RULES)


def test_a_configuration_is_checked(config, capsys):
    assert main(["configuration", config({"all": "advisory"})]) == 0
    assert "right, with 0 exemptions" in capsys.readouterr().out
    assert main(["configuration", config({"al": "advisory"})]) == 2


def told(capsys, *arguments):
    """What a command says on standard error when it ends with 2."""
    try:
        code = main([str(one) for one in arguments])
    except SystemExit as error:
        code = error.code
    said = capsys.readouterr()
    assert code == 2, said
    assert "Traceback" not in said.err
    return said.err


def test_wrong_input_is_told_in_a_line(bad, config, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    truncated = tmp_path / "truncated.json"
    truncated.write_text(bad.read_text()[:50])
    cases = {
        ("check", tmp_path / "none.json"): "none.json can't be read: No such file or directory",
        ("check", tmp_path): "can't be read: Is a directory",
        ("check", truncated): "truncated.json is no JSON",
        ("check", bad, "--config", tmp_path / "none.json"): "none.json can't be read",
        ("check", bad, "--config", config("{")): "policies.json is no JSON",
        ("check", bad, "--environment", "prod"): 'the chosen environment: `"prod"` was found',
        ("check", bad, "--framework", "nist"): 'the chosen frameworks: `"nist"` was found; expected is one of',
        ("check", bad, "--output", tmp_path): "can't be written: Is a directory",
        ("check", "--stack", "prod"): "pulumi can't be run: No such file or directory; check an export file instead",
    }
    for arguments, message in cases.items():
        said = told(capsys, *arguments)
        assert message in said
        assert said.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["chek"], ["check"], ["check", "x.json", "--format", "pdf"], ["check", "x.json", "--stack", "prod"]],
)
def test_wrong_use_is_told(arguments, capsys):
    assert "error: " in told(capsys, *arguments)


def test_what_pulumi_says_of_a_stack_is_passed_on(pulumi, capsys):
    said = told(capsys, "check", "--stack", "broken")
    assert "`pulumi stack export --stack broken` failed: error: no stack named 'broken' found" in said


def test_it_runs_as_a_module_without_any_cloud_sdk(bad):
    code = "import runpy, sys; sys.argv = ['ml_policies', 'check', sys.argv[1]]\n"
    code += "try: runpy.run_module('ml_policies', run_name='__main__')\n"
    code += "finally: print([name for name in sys.modules if name.startswith('pulumi')], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, str(bad)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "[]\n")


def test_a_reader_that_has_enough_is_no_error(bad):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "ml_policies", "check", str(bad)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_ten_thousand_resources_are_checked_in_twenty_seconds(tmp_path, monkeypatch):
    """Every type that the pack guards, in groups of a hundred, each resource depending on three others."""
    types = sorted({type_ for rule in RULES.values() for type_ in rule.types})
    urns = [f"urn:pulumi:prod::shop::{types[index % len(types)]}::r{index}" for index in range(10_000)]
    saved = [
        {
            "urn": urn,
            "type": types[index % len(types)],
            "inputs": {"name": f"r{index}", "tags": {"owner": "ml"}, "policy": '{"Statement": []}'},
            "dependencies": urns[max(index - index % 100, index - 3) : index],
        }
        for index, urn in enumerate(urns)
    ]
    file = tmp_path / "large.json"
    file.write_text(json.dumps({"version": 3, "deployment": {"resources": saved}}, indent=4))
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    started = time.process_time()
    assert main(["check", str(file), "--format", "sarif"]) == 1
    assert time.process_time() - started < 20
