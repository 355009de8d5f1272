"""docs/vertex-ai.md: its program runs on the engine as it stands, and a changed share moves nothing but the traffic."""

import re
from collections import Counter
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "vertex-ai.md"
(PROGRAM,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
STACK = "gcp-streaming"
OURS = "pulumi-python:dynamic/ml_blueprints:"


def types(state):
    """How many there are of each type that was made on the cloud."""
    return Counter(one["type"].removeprefix(OURS) for one in state.values() if one.get("custom") and one.get("parent"))


def shares(state):
    (traffic,) = [one for one in state.values() if one["type"] == f"{OURS}VertexTraffic"]
    return [share["percent"] for share in traffic["outputs"]["shares"]]


def test_the_program_of_the_page_runs_as_it_stands(playground):
    program = playground.repository / "stacks" / "__main__.py"
    program.write_text(PROGRAM)
    playground.pulumi("stack", "init", STACK, "--no-select")
    playground.pulumi("up", "--yes", "--skip-preview", "--stack", STACK)
    first = playground.state(STACK)
    assert types(first) == {
        "gcp:vertex/aiEndpoint:AiEndpoint": 1,
        "VertexModel": 2,
        "VertexDeployment": 2,
        "VertexTraffic": 1,
    }
    assert shares(first) == [90, 10]
    playground.pulumi("preview", "--expect-no-changes", "--stack", STACK)

    program.write_text(PROGRAM.replace('"1-0-0": 90, "1-1-0": 10', '"1-0-0": 50, "1-1-0": 50'))
    printed = playground.pulumi("up", "--yes", "--skip-preview", "--stack", STACK)
    assert re.search(r"~ 1 updated\n\s+\d+ unchanged", printed), printed
    assert shares(playground.state(STACK)) == [50, 50]
