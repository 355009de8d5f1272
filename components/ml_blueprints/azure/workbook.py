"""A workbook of Azure Monitor, as data: texts, charts of logs, charts of metrics and tables of what is deployed.

Its format is that of the workbooks' editor (https://learn.microsoft.com/azure/azure-monitor/visualize/workbooks-automate).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

# The parameter that says how far back all charts look, and by how much at first.
TIME, _DAY_MS = "Time", 86_400_000
_CHOICES_MS = (3_600_000, 4 * 3_600_000, _DAY_MS, 7 * _DAY_MS, 30 * _DAY_MS)

_LOGS, _GRAPH = 0, 1
# Aggregations of metrics by number, as the editor writes them.
TOTAL, MAXIMUM = 1, 3


@dataclass(frozen=True)
class Workbook:
    """Makes the parts of a workbook. logs: id of the log workspace that charts ask."""

    logs: pulumi.Input[str]

    def document(self, parts: Sequence[dict[str, Any]]) -> pulumi.Output[str]:
        """The workbook as its resource takes it."""
        named = [part | {"name": f"part-{number}"} for number, part in enumerate([_time(), *parts])]
        return pulumi.Output.json_dumps(
            {"version": "Notebook/1.0", "items": named, "fallbackResourceIds": [self.logs]}, sort_keys=True
        )

    def chart(self, title: str, query: pulumi.Input[str]) -> dict[str, Any]:
        """What a query of the logs finds, as it says that it is drawn; a table where it says nothing."""
        asked = _query(title, query)
        asked["content"] |= {
            "queryType": _LOGS,
            "resourceType": "microsoft.operationalinsights/workspaces",
            "crossComponentResources": [self.logs],
            "timeContextFromParameter": TIME,
        }
        return asked


def text(markdown: pulumi.Input[str]) -> dict[str, Any]:
    """Words, as Markdown."""
    return {"type": 1, "content": {"json": markdown}}


def metrics(
    title: str,
    kind: str,
    resource: pulumi.Input[str],
    names: Sequence[str],
    aggregation: int,
    split_by: str | None = None,
) -> dict[str, Any]:
    """Metrics of a resource (its id) of a kind, such as `Microsoft.EventHub/namespaces`."""
    namespace = kind.lower()
    return {
        "type": 10,
        "content": {
            "version": "MetricsItem/2.0",
            "chartId": title.lower().replace(" ", "-"),
            "title": title,
            "size": 0,
            "chartType": 2,
            "metricScope": 0,
            "resourceType": namespace,
            "resourceIds": [resource],
            "timeContextFromParameter": TIME,
            "metrics": [
                {
                    "namespace": namespace,
                    "metric": f"{namespace}--{name}",
                    "aggregation": aggregation,
                    "splitBy": split_by,
                }
                for name in names
            ],
        },
    }


def resources(title: str, query: pulumi.Input[str], subscription: pulumi.Input[str]) -> dict[str, Any]:
    """What Azure Resource Graph knows in a subscription (its resource id), as a table."""
    asked = _query(title, query)
    asked["content"] |= {
        "queryType": _GRAPH,
        "resourceType": "microsoft.resourcegraph/resources",
        "crossComponentResources": [subscription],
    }
    return asked


def _query(title: str, query: pulumi.Input[str]) -> dict[str, Any]:
    return {"type": 3, "content": {"version": "KqlItem/1.0", "title": title, "size": 0, "query": query}}


def _time() -> dict[str, Any]:
    chosen = {
        "version": "KqlParameterItem/1.0",
        "id": "a3d1b1f0-6a0e-4d0a-9b3c-6d8f2f4f6c11",
        "name": TIME,
        "type": 4,
        "isRequired": True,
        "value": {"durationMs": _DAY_MS},
        "typeSettings": {"selectableValues": [{"durationMs": choice} for choice in _CHOICES_MS]},
    }
    return {"type": 9, "content": {"version": "KqlParameterItem/1.0", "parameters": [chosen], "style": "pills"}}
