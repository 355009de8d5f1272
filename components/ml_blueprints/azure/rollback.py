"""The way back from a canary that fails: an alert gives the champion all requests, and nobody has to do anything."""

from typing import Any

import pulumi
from pulumi_azure_native import authorization, logic, monitor

from ml_blueprints.azure import alarm_conditions, facts, traffic
from ml_blueprints.azure.containers import division
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.online_endpoint import OnlineEndpoint
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Role

SCHEMA = "https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01/workflowdefinition.json#"

# Name of the request that starts the workflow.
TRIGGER = "alert"


def definition(
    endpoint: pulumi.Input[str], body: dict[str, pulumi.Input[Any]], identity: pulumi.Input[str]
) -> dict[str, Any]:
    """A workflow that writes an endpoint (its id) anew under an identity (its resource id) when an alert has fired.

    Its end is told too, in the same form, and changes nothing
    (https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema).
    """
    write = {
        "type": "Http",
        "inputs": {
            "method": "PUT",
            "uri": pulumi.Output.concat(facts.MANAGEMENT_URL, endpoint, "?api-version=", facts.ML_API_VERSION),
            "body": body,
            "authentication": {
                "type": "ManagedServiceIdentity",
                "identity": identity,
                "audience": f"{facts.MANAGEMENT_URL}/",
            },
        },
    }
    fired = {"equals": ["@triggerBody()?['data']?['essentials']?['monitorCondition']", "Fired"]}
    return {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "triggers": {TRIGGER: {"type": "Request", "kind": "Http", "inputs": {"schema": {}}}},
        "actions": {"fired": {"type": "If", "expression": fired, "actions": {"roll-back": write}}},
    }


class RollbackIdentity:
    """Who writes an endpoint anew: an identity of its own, and the roles that a canary lets it have.

    It is there without a canary, too: what brings stacks up by day may neither make roles nor give new ones, and a
    promotion must not ask for more. part: name of all that rolls this endpoint back.
    """

    def __init__(self, foundation: Foundation, online: OnlineEndpoint):
        self.online = online
        self.part = f"{online.tenant}-rollback" if online.tenant else "rollback"
        self.identity = foundation.identity(self.part)
        self.roles: dict[str, tuple[pulumi.Input[str], pulumi.Input[str]]] = {
            "endpoint": (online.endpoint.id, foundation.role("rollback", "roll back", facts.ROLLBACK_ACTIONS))
        }
        # It lets the endpoint act under the identity that it has.
        if ours := foundation.user_identities.get(Purpose.SERVING):
            self.roles["identity"] = (ours.id, facts.ROLE_IDENTITY_OPERATOR)
        for _, role in self.roles.values():
            foundation.expect(role, self.identity.principal_id)


class Rollback(pulumi.ComponentResource):
    """Alerts on the errors and the latency of an endpoint's canaries, and the workflow that takes their requests away.

    What Git says isn't touched: the canary stays without requests until the workload's file gives it another share, or
    none. workflow, alerts, action_group: the resources.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        who: RollbackIdentity,
        opts: pulumi.ResourceOptions | None = None,
    ):
        self.part, self.identity, self.online = who.part, who.identity, who.online
        super().__init__("ml-blueprints:azure:Rollback", context.logical(self.part), None, opts)
        self.context, self.foundation = context, foundation
        self.grants: list[authorization.RoleAssignment] = [
            foundation.assign(f"{self.part}-{name}", self.identity.principal_id, role, scope, self._child())
            for name, (scope, role) in who.roles.items()
        ]
        self._workflow()
        self._action_group()
        self.alerts = [
            alert
            for container in self.online.containers
            if container.role is Role.CANARY
            for alert in self._alerts(container.name)
        ]
        self.register_outputs({"workflowId": self.workflow.id})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _workflow(self) -> None:
        context, foundation, online = self.context, self.foundation, self.online
        _, mirrored = division(online.containers)
        body: dict[str, pulumi.Input[Any]] = {
            "location": foundation.location,
            "identity": online.identity,
            "tags": context.tags,
            "properties": traffic.divided(online.properties, {online.champion: 100}, mirrored),
        }
        self.workflow = logic.Workflow(
            context.logical(self.part),
            resource_group_name=foundation.group,
            location=foundation.location,
            state=logic.WorkflowState.ENABLED,
            identity=logic.ManagedServiceIdentityArgs(
                type=logic.ManagedServiceIdentityType.USER_ASSIGNED, user_assigned_identities=[self.identity.id]
            ),
            definition=definition(online.endpoint.id, body, self.identity.id),
            tags=context.tags,
            opts=self._child(depends_on=self.grants),
        )
        foundation.keep_logs(self.part, self.workflow)

    def _action_group(self) -> None:
        context, foundation = self.context, self.foundation
        # The address holds a signature, by which the workflow knows who calls.
        address = logic.list_workflow_trigger_callback_url_output(
            resource_group_name=foundation.group,
            workflow_name=self.workflow.name,
            trigger_name=TRIGGER,
            opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[self.workflow]),
        ).value
        self.action_group = monitor.ActionGroup(
            context.logical(self.part),
            resource_group_name=foundation.group,
            location="Global",
            # At most 12 characters.
            group_short_name="rollback",
            enabled=True,
            logic_app_receivers=[
                monitor.LogicAppReceiverArgs(
                    name="rollback",
                    resource_id=self.workflow.id,
                    callback_url=pulumi.Output.secret(address),
                    use_common_alert_schema=True,
                )
            ],
            tags=context.tags,
            opts=self._child(),
        )

    def _alerts(self, deployment: str) -> list[monitor.ScheduledQueryRule | monitor.MetricAlert]:
        """What the workload promises, held against one canary alone."""
        context, foundation, objectives = self.context, self.foundation, self.context.workload.monitoring
        part = f"{self.part}-{deployment}"
        errors = monitor.ScheduledQueryRule(
            context.logical(part),
            resource_group_name=foundation.group,
            location=foundation.location,
            kind="LogAlert",
            display_name=f"{context.name}: {self.part} of {deployment}",
            description=f"More requests of {deployment} fail than may: it loses them",
            enabled=True,
            severity=1,
            scopes=[foundation.log_workspace.id],
            criteria=alarm_conditions.error_rate(
                self.online.endpoint.name, objectives.error_rate_objective, [deployment]
            ),
            evaluation_frequency="PT1M",
            window_size="PT5M",
            auto_mitigate=True,
            # The table is there once an endpoint has written to it.
            skip_query_validation=True,
            actions=monitor.ActionsArgs(action_groups=[self.action_group.id]),
            tags=context.tags,
            opts=self._child(),
        )
        if not objectives.latency_objective_ms:
            return [errors]
        latency = monitor.MetricAlert(
            context.logical(part),
            resource_group_name=foundation.group,
            location="Global",
            description=f"{deployment} answers more slowly than may be: it loses its requests",
            enabled=True,
            severity=1,
            scopes=[self.online.endpoint.id],
            criteria=alarm_conditions.latency(deployment, objectives.latency_objective_ms),
            evaluation_frequency="PT1M",
            window_size="PT5M",
            auto_mitigate=True,
            actions=[monitor.MetricAlertActionArgs(action_group_id=self.action_group.id)],
            tags=context.tags,
            opts=self._child(),
        )
        return [errors, latency]
