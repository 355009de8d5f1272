"""The comment of a pull request on the real engine: a model is taken back by `git revert`, and nothing else changes."""

import subprocess

from ml_delivery.__main__ import main


def git(playground, *arguments):
    """Run git in the playground's repository, as somebody."""
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")
    command = ["git", *identity, *arguments]
    subprocess.run(command, cwd=playground.repository, check=True, capture_output=True)


def test_a_revert_of_a_promotion_takes_the_model_back_and_says_so(playground, capsys):
    git(playground, "init", "--quiet", "--initial-branch", "main")
    git(playground, "add", ".")
    git(playground, "commit", "--quiet", "-m", "Version 3.1.0 answers")
    file = playground.repository / "stacks" / "workloads" / "credit_scoring.yaml"
    file.write_text(file.read_text().replace("version: 3.1.0, role: champion", "version: 3.2.0, role: champion"))
    git(playground, "commit", "--quiet", "-am", "Version 3.2.0 answers")
    git(playground, "revert", "--no-edit", "HEAD")

    # The base is the promotion, the change is its revert; the pack of policies is the repository's own.
    assert main(["comment", "--base", "HEAD~1", "aws-batch"]) == 0
    comment = capsys.readouterr().out
    assert "## 1 of 1 stacks change: nothing stands against it" in comment
    assert "**credit-scoring** promotes scorecard 3.1.0, in place of scorecard 3.2.0." in comment
    assert "| update | `aws:sagemaker/pipeline:Pipeline` | `credit-scoring-batch` | `pipelineDefinition` |" in comment
    assert "| create | `" not in comment
    assert "| delete | `" not in comment
    # What was up before is of the promotion's own commit, and none of it is in the user's sandbox.
    assert playground.things() == []
