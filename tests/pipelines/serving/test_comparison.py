"""Which of two is better is told where it can be, and only there."""

import json

import numpy as np
import pytest
from ml_pipelines.serving.comparison import compare, main, read_pairs


def log(count=400, noise=0.5, per_entity=1, seed=1, shadow="trees/2.0.0"):
    """The champion sees the truth through noise of 1, the shadow through `noise`."""
    draw = np.random.default_rng(seed)
    truth = np.repeat(draw.normal(size=count // per_entity), per_entity)
    outcomes = (draw.random(count) < 1 / (1 + np.exp(-2 * truth))).astype(float)

    def scores(spread):
        return 1 / (1 + np.exp(-2 * (truth + spread * np.repeat(draw.normal(size=count // per_entity), per_entity))))

    pairs = zip(scores(1.0), scores(noise), strict=True)
    lines = [
        {
            "event_id": f"event-{place}",
            "entity": f"card-{place // per_entity}",
            "champion": "trees/1.0.0",
            "score": ours,
            "shadow": shadow,
            "shadow_score": theirs,
        }
        for place, (ours, theirs) in enumerate(pairs)
    ]
    return lines, {f"event-{place}": outcome for place, outcome in enumerate(outcomes)}


def test_a_better_shadow_is_told():
    (found,) = compare(*log(noise=0.1))
    assert found.verdict.startswith("trees/2.0.0 is better, the shadow")
    assert found.loss == "log_loss"
    assert found.interval[1] < 0
    assert found.p_value < 0.01


def test_a_worse_shadow_is_told():
    (found,) = compare(*log(noise=3.0))
    assert found.verdict.startswith("trees/1.0.0 is better, the champion")


def test_what_is_equally_good_is_seldom_called_better():
    called = sum("is better" in compare(*log(noise=1.0, seed=seed))[0].verdict for seed in range(40))
    assert called <= 6


def test_requests_of_one_entity_are_no_independent_evidence():
    alone = compare(*log(count=2000, noise=0.6))[0]
    together = compare(*log(count=2000, noise=0.6, per_entity=50))[0]
    assert together.entities == 40
    assert together.p_value > alone.p_value


def test_without_outcomes_nothing_is_told():
    lines, outcomes = log()
    assert compare(lines, {})[0].verdict.startswith("can't be told: no outcome")
    few = dict(list(outcomes.items())[:10])
    assert "too few" in compare(lines, few)[0].verdict


def test_several_shadows_need_more_evidence():
    first, outcomes = log(noise=0.5)
    others = [line | {"shadow": f"trees/3.{number}.0"} for number in range(4) for line in first]
    found = compare(first + others, outcomes)
    assert len(found) == 5


def test_numbers_are_compared_by_their_absolute_error():
    draw = np.random.default_rng(0)
    truth = draw.normal(20, 5, 200)
    lines = [
        {
            "event_id": str(place),
            "entity": None,
            "champion": "a/1.0.0",
            "score": value + 3,
            "shadow": "b/1.0.0",
            "shadow_score": None if place == 0 else value + 1,
        }
        for place, value in enumerate(truth)
    ]
    (found,) = compare(lines, {str(place): value for place, value in enumerate(truth)})
    assert (found.loss, found.failed, found.compared) == ("absolute_error", 1, 199)
    assert found.difference == pytest.approx(-2)


def test_the_command_line(tmp_path, capsys):
    lines, outcomes = log(noise=0.1)
    (tmp_path / "log" / "day=2026-01-01").mkdir(parents=True)
    file = tmp_path / "log" / "day=2026-01-01" / "a.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    labels = tmp_path / "labels.jsonl"
    labels.write_text("\n".join(json.dumps({"event_id": id_, "outcome": value}) for id_, value in outcomes.items()))
    assert main(["--log", str(tmp_path / "log"), "--labels", str(labels)]) == 0
    assert "is better" in json.loads(capsys.readouterr().out)[0]["verdict"]
    assert main(["--log", str(tmp_path / "log"), "--labels", str(tmp_path / "none.jsonl")]) == 2


def kept(line, score, model):
    """A line of ours of what a container was asked and answered."""
    return {"at": 1, "tenant": None, "entity": line["entity"], "event_id": line["event_id"], "features": {}} | {
        "score": score,
        "selected": None,
        "model": model,
    }


def captured(line, score, model):
    """The same as SageMaker captures it."""

    def part(mode, body):
        return {"mode": mode, "data": json.dumps(body), "encoding": "JSON", "observedContentType": "application/json"}

    asked = {"entity": line["entity"], "event_id": line["event_id"], "features": {}}
    answered = {"score": score, "selected": None, "model": model}
    return {
        "captureData": {"endpointInput": part("INPUT", asked), "endpointOutput": part("OUTPUT", answered)},
        "eventMetadata": {"inferenceTime": "2026-01-31T12:00:00Z"},
    }


def put(folder, lines):
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_bytes(b"\n".join(json.dumps(line, separators=(",", ":")).encode() for line in lines))
    return str(folder.parent)


@pytest.mark.parametrize("form", [kept, captured])
def test_what_a_platform_copied_is_paired_by_its_events(tmp_path, capsys, form):
    lines, outcomes = log(noise=0.1)
    day = "2026/01/31" if form is captured else "day=2026-01-31"
    # The shadow sees a part, and no event of another.
    champion = [form(line, line["score"], line["champion"]) for line in lines]
    shadow = [form(line, line["shadow_score"], line["shadow"]) for line in lines[::2]]
    shadow.append(form({"entity": None, "event_id": None}, 0.5, "trees/2.0.0"))
    shadow.append(form({"entity": None, "event_id": "of nobody"}, 0.5, "trees/2.0.0"))
    places = [put(tmp_path / name / day, told) for name, told in (("champion", champion), ("shadow", shadow))]
    found = read_pairs(*places)
    assert {line["event_id"]: (line["score"], line["shadow_score"]) for line in found} == {
        line["event_id"]: (line["score"], line["shadow_score"]) for line in lines[::2]
    }
    labels = tmp_path / "labels.jsonl"
    labels.write_text("\n".join(json.dumps({"event_id": id_, "outcome": value}) for id_, value in outcomes.items()))
    assert main(["--champion", places[0], "--shadow", places[1], "--labels", str(labels)]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["compared"] == 200
    assert told["verdict"].startswith("trees/2.0.0 is better, the shadow")


def test_events_of_tenants_with_the_same_id_are_two(tmp_path):
    line = {"entity": "c", "event_id": "1"}
    ours = [kept(line, score, "a/1.0.0") | {"tenant": tenant} for tenant, score in (("shop", 0.1), ("bank", 0.2))]
    theirs = [kept(line, 0.3, "b/1.0.0") | {"tenant": "bank"}]
    places = [put(tmp_path / name / "day=2026-01-31", told) for name, told in (("ours", ours), ("theirs", theirs))]
    assert [(line["tenant"], line["score"]) for line in read_pairs(*places)] == [("bank", 0.2)]


@pytest.mark.parametrize("said", [[], ["--champion", "a"], ["--log", "a", "--shadow", "b"], ["--shadow", "b"]])
def test_what_is_compared_is_said_in_one_of_two_ways(said):
    with pytest.raises(SystemExit):
        main([*said, "--labels", "labels.jsonl"])
