"""The error budget on AWS: pages where it burns too fast over an hour, and still does."""

import re

import pytest

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
COMPOSITE = "aws:cloudwatch/compositeAlarm:CompositeAlarm"


def shared(built, part: str) -> dict:
    return built.named(ALARM, f"{built.platform.context.name}-error-budget-{part}").inputs


@pytest.mark.parametrize(("part", "seconds"), [("hour", 3600), ("minutes", 300)])
def test_the_share_of_all_live_variants_is_held_to_the_promise(hybrid, part, seconds):
    alarm = shared(hybrid, part)
    *metrics, share = alarm["metricQueries"]
    counted = {(one["metric"]["metricName"], one["metric"]["dimensions"]["VariantName"]) for one in metrics}
    assert counted == {
        (metric, variant) for metric in ("Invocation5XXErrors", "Invocations") for variant in ("champion", "canary")
    }
    assert {one["metric"]["period"] for one in metrics} == {seconds}
    assert {one["metric"]["stat"] for one in metrics} == {"Sum"}
    # What the expression makes of 30 failed of 200, in two variants.
    named = {one["id"]: one["metric"]["metricName"] for one in metrics}
    values = {id_: 15 if metric == "Invocation5XXErrors" else 100 for id_, metric in named.items()}
    said = re.sub(r"FILL\((\w+), 0\)", lambda found: str(values[found[1]]), share["expression"])
    assert re.fullmatch(r"[\d+/() ]+", said)
    assert eval(said) == 0.15  # noqa: S307 (digits and signs alone)
    assert alarm["threshold"] == 0.144
    assert alarm["comparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert "alarmActions" not in alarm


def test_somebody_is_paged_where_both_times_say_so(hybrid):
    (of_partners, of_all) = sorted(hybrid.of_type(COMPOSITE), key=lambda one: "partners" not in one.name)
    for composite, part in ((of_all, "error-budget"), (of_partners, "error-budget-partners")):
        alarms = [hybrid.named(ALARM, f"delivery-eta-{part}-{name}") for name in ("hour", "minutes")]
        assert composite.inputs["alarmRule"] == " AND ".join(f'ALARM("{alarm.id}")' for alarm in alarms)
        assert ":delivery-eta-alerts-" in composite.inputs["alarmActions"][0]


def test_a_promise_that_allows_much_pages_where_all_requests_fail(once):
    built = once("delivery_eta", {"monitoring": {"error_rate_objective": 0.1}})
    assert shared(built, "hour")["threshold"] == 1


def test_nobody_is_promised_anything_in_batch(batch):
    assert not batch.of_type(COMPOSITE)
