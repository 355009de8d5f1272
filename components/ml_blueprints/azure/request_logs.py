"""What the logs say of requests, in Kusto's language: the same columns for endpoints and for container apps.

`TimeGenerated`, `Version` (which answered), `Code` (of HTTP) and `Milliseconds`.
https://learn.microsoft.com/azure/azure-monitor/reference/tables/amlonlineendpointtrafficlog and
https://learn.microsoft.com/azure/container-apps/log-options
"""

from collections.abc import Sequence

import pulumi

_OF_ENDPOINT = """AmlOnlineEndpointTrafficLog
| where EndpointName == '{endpoint}' and DeploymentName in ({deployments})
| project TimeGenerated, Version = DeploymentName, Code = toint(ResponseCode), Milliseconds = TotalDurationMs"""

_OF_APP = """ContainerAppHTTPLogs
| where ContainerAppName == '{app}'
| project TimeGenerated, Version = RevisionName, Code = toint(StatusCode), Milliseconds = RequestDuration"""

# How many times faster than the objective lets it the budget may burn, both in an hour and in its last five minutes: by
# that a 50th of a month's is gone in the hour, and it still burns. https://sre.google/workbook/alerting-on-slos/
BURN_RATE, WINDOW, SHORT = 14.4, "PT1H", "5m"

# The five minutes are the newest that have come: logs are some minutes late, and not always the same.
_BURN = """let asked = {requests};
let newest = toscalar(asked | summarize max(TimeGenerated));
asked
| extend Failed = Code >= 500, Late = TimeGenerated > newest - {short}
| summarize Failures = countif(Failed), Total = count(),
    LateFailures = countif(Failed and Late), LateTotal = countif(Late), TimeGenerated = max(TimeGenerated)
| where Total > 0
| project TimeGenerated, BurnRate = min_of(1.0 * Failures / Total, 1.0 * LateFailures / LateTotal) / {budget}"""


def of_endpoint(endpoint: pulumi.Input[str], deployments: Sequence[str]) -> pulumi.Output[str]:
    """Requests of an online endpoint that these deployments answered; copies for shadows are none."""
    named = ", ".join(f"'{deployment}'" for deployment in deployments)
    return pulumi.Output.from_input(endpoint).apply(lambda name: _OF_ENDPOINT.format(endpoint=name, deployments=named))


def of_app(app: pulumi.Input[str]) -> pulumi.Output[str]:
    """Requests that came to a container app by its ingress."""
    return pulumi.Output.from_input(app).apply(lambda name: _OF_APP.format(app=name))


def burn_rate(requests: pulumi.Output[str], budget: float) -> pulumi.Output[str]:
    """How fast a budget (the share of requests that may fail) burns: the slower of the two windows' rates."""
    return requests.apply(lambda asked: _BURN.format(requests=asked, short=SHORT, budget=budget))


def outcomes(requests: pulumi.Output[str]) -> pulumi.Output[str]:
    """Requests and failures by version, over time."""
    return pulumi.Output.concat(
        requests,
        "\n| summarize Requests = count(), Failures = countif(Code >= 500) by Version, bin(TimeGenerated, 5m)",
        "\n| render timechart",
    )


def latency(requests: pulumi.Output[str]) -> pulumi.Output[str]:
    """The 50th and 99th percentile of the time of an answer by version, over time."""
    return pulumi.Output.concat(
        requests,
        "\n| summarize percentiles(Milliseconds, 50, 99) by Version, bin(TimeGenerated, 5m)\n| render timechart",
    )
