"""The door of tenants on AWS: a REST API that knows them by their tokens and holds each to its rate and quota."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_aws import apigateway, cloudwatch, iam, kinesis, lambda_, wafv2

from ml_blueprints import routing
from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.data import Data
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.aws.function import Function
from ml_blueprints.aws.router import Router
from ml_blueprints.layers import Context, Zone
from ml_blueprints.workload import Tenant, Workload

STAGE = "live"

# What tenants may ask: path and method, and whether what they send is checked against the schema of a request.
ROUTES = (
    ("v1/score", "POST", "Score"),
    ("v1/models", "GET", None),
    ("v2/models/{model}/infer", "POST", "Infer"),
    ("openapi.json", "GET", None),
)

# As the scoring service limits them (`ml_pipelines.serving.protocols`).
_MOST_ROWS, _LONGEST_NAME = 1000, 1024

_JSON_TYPES = {"integer": "number", "float": "number", "string": "string", "boolean": "boolean"}
_AVRO_TYPES = {
    **dict.fromkeys(("int", "long", "float", "double"), "number"),
    "string": "string",
    "boolean": "boolean",
}

# Rule groups of AWS against what is known to be bad. Of the first, those of size and agent only count: rows of features
# are longer than 8 KiB, and services have no browser.
# https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html
_RULE_GROUPS: Mapping[str, tuple[str, ...]] = {
    "AWSManagedRulesCommonRuleSet": ("SizeRestrictions_BODY", "NoUserAgent_HEADER"),
    "AWSManagedRulesKnownBadInputsRuleSet": (),
}


def schemas(workload: Workload) -> dict[str, dict[str, Any]]:
    """What a request looks like in each protocol, in JSON Schema draft 4: values of features have the types told.

    Names that neither the features nor the contract have are for the router to judge, which knows the models' inputs.
    """
    data = workload.data
    types = {feature.name: _JSON_TYPES[feature.type] for feature in workload.features.definitions}
    for field in data.contract.record["fields"]:
        if (kind := _json_type(field["type"])) and field["name"] not in (data.entity, data.event_time):
            types.setdefault(field["name"], kind)
    features = {"type": "object", "properties": {name: {"type": [kind, "null"]} for name, kind in types.items()}}
    name = {"type": "string", "minLength": 1, "maxLength": _LONGEST_NAME}
    ask = {"type": "object", "properties": {"entity": name, "event_id": name, "features": features}}
    several = {
        "type": "object",
        "required": ["instances"],
        "properties": {
            "instances": {"type": "array", "minItems": 1, "maxItems": _MOST_ROWS, "items": {"type": "object"}}
        },
    }
    asked = [ask | {"required": [one]} for one in ("features", "entity")]
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": name,
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "datatype": {"type": "string"},
            "data": {"type": "array"},
        },
    }
    draft = {"$schema": "http://json-schema.org/draft-04/schema#"}
    return {
        "Score": draft | {"title": "Score", "anyOf": [*asked, several]},
        "Infer": draft
        | {
            "title": "Infer",
            "type": "object",
            "required": ["inputs"],
            "properties": {"inputs": {"type": "array", "minItems": 1, "items": tensor}},
        },
    }


def _json_type(avro: Any) -> str | None:
    """The type in JSON of a field's values; None for those that aren't plain."""
    if isinstance(avro, list):
        kinds = {_json_type(option) for option in avro if option != "null"}
        return kinds.pop() if len(kinds) == 1 else None
    return _AVRO_TYPES.get(avro["type"] if isinstance(avro, dict) else avro)


class Api(pulumi.ComponentResource):
    """A REST API that is reached through the platform's network alone, unless the settings let the internet in.

    A token is verified by `authorizer`, the one function outside of the network: it fetches the issuer's keys, and has
    no rights to anything of ours. It tells API Gateway whose request it is, by which the plan of the tenant holds it.

    Native resources: `api`, `authorizer`, `stage`, `plans` and `keys` by tenant, `access_log`, `firewall`.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        data: Data,
        image: pulumi.Input[str],
        router: Router,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:aws:Api", context.logical("api"), None, opts)
        self.context, self.foundation, self.data, self.router = context, foundation, data, router
        self._api()
        self._keys()
        self._authorizer(image)
        self._methods()
        self._stage()
        self._plans()
        self._firewall()
        self.url = pulumi.Output.concat(self.stage.invoke_url, "/v1/score")
        self.register_outputs({"url": self.url})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _api(self) -> None:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-resource-policies-examples.html"""
        context, foundation = self.context, self.foundation
        endpoint = foundation.network_component.api_endpoint
        private = apigateway.RestApiEndpointConfigurationArgs(
            types="PRIVATE", vpc_endpoint_ids=[endpoint.id] if endpoint else None
        )
        within = policy.allow(
            ["execute-api:Invoke"], ["execute-api:/*"], StringEquals={"aws:SourceVpc": foundation.network}
        ) | {"Principal": "*"}
        public = context.settings.public_api
        self.api = apigateway.RestApi(
            context.logical("api"),
            description=f"{context.name}: predictions for tenants",
            endpoint_configuration=apigateway.RestApiEndpointConfigurationArgs(types="REGIONAL") if public else private,
            policy=None if public else policy.document(within),
            api_key_source="AUTHORIZER",
            # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-security-policies.html
            security_policy="SecurityPolicy_TLS13_1_2_2021_06",
            endpoint_access_mode="BASIC",
            tags=context.tags,
            opts=self._child(),
        )

    def _keys(self) -> None:
        """By which API Gateway counts a tenant's requests. Nobody is given one: the authorizer tells whose it is."""
        self.keys = {
            tenant.name: apigateway.ApiKey(
                self.context.logical(f"key-{tenant.name}"),
                description=f"Counts the requests of {tenant.name}",
                tags=self.context.tags | {"tenant": tenant.name},
                opts=self._child(),
            )
            for tenant in self.context.workload.serving.tenants
        }

    def _authorizer(self, image: pulumi.Input[str]) -> None:
        context = self.context
        told = routing.environment(context.workload, context.settings, routing.deployed(context.workload))
        self.verifier = Function(
            context,
            self.foundation,
            image,
            "authorizer",
            {**told, "API_KEYS": pulumi.Output.json_dumps({name: key.value for name, key in self.keys.items()})},
            private=False,
            opts=self._child(),
        )
        self.authorizer = apigateway.Authorizer(
            context.logical("tenants"),
            rest_api=self.api.id,
            type="TOKEN",
            authorizer_uri=self.verifier.function.invoke_arn,
            identity_source="method.request.header.Authorization",
            # What can't be a token costs no invocation.
            identity_validation_expression=r"^Bearer [A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$",
            authorizer_result_ttl_in_seconds=facts.AUTHORIZED_SECONDS,
            opts=self._child(),
        )
        self._allow("authorizer", self.verifier, pulumi.Output.concat("/authorizers/", self.authorizer.id))

    def _allow(self, part: str, function: Function, what: pulumi.Input[str]) -> None:
        """Let this API, and nobody else who has no rights by IAM, invoke a function."""
        lambda_.Permission(
            self.context.logical(part),
            action="lambda:InvokeFunction",
            function=function.function.name,
            principal="apigateway.amazonaws.com",
            source_arn=pulumi.Output.concat(self.api.execution_arn, what),
            source_account=self.foundation.account,
            opts=self._child(),
        )

    def _methods(self) -> None:
        context = self.context
        self.schemas = schemas(context.workload)
        validator = apigateway.RequestValidator(
            context.logical("contract"),
            rest_api=self.api.id,
            validate_request_body=True,
            validate_request_parameters=True,
            opts=self._child(),
        )
        bodies = {
            name: apigateway.Model(
                context.logical(name.lower()),
                rest_api=self.api.id,
                name=name,
                content_type="application/json",
                schema=json.dumps(schema, sort_keys=True),
                opts=self._child(),
            )
            for name, schema in self.schemas.items()
        }
        self.routed: list[pulumi.Resource] = []
        places: dict[str, pulumi.Output[str]] = {"": self.api.root_resource_id}
        for path, method, body in ROUTES:
            place = self._place(path, places)
            part = f"{method.lower()}-{path.translate(str.maketrans('/.', '--', '{}'))}"
            asked = apigateway.Method(
                context.logical(part),
                rest_api=self.api.id,
                resource_id=place,
                http_method=method,
                authorization="CUSTOM",
                authorizer_id=self.authorizer.id,
                api_key_required=True,
                request_validator_id=validator.id,
                request_models={"application/json": bodies[body].name} if body else None,
                request_parameters={"method.request.path.model": True} if "{model}" in path else None,
                opts=self._child(),
            )
            answered = apigateway.Integration(
                context.logical(part),
                rest_api=self.api.id,
                resource_id=place,
                http_method=asked.http_method,
                type="AWS_PROXY",
                integration_http_method="POST",
                uri=self.router.function.invoke_arn,
                timeout_milliseconds=facts.API_SECONDS * 1000,
                opts=self._child(),
            )
            self.routed += [asked, answered]
        self._allow("router", self.router, "/*/*/*")

    def _place(self, path: str, places: dict[str, pulumi.Output[str]]) -> pulumi.Output[str]:
        """The id of the resource of a path, which is made with those above it where it isn't there yet."""
        if path not in places:
            above, _, last = path.rpartition("/")
            part = path.translate(str.maketrans("/.", "--", "{}"))
            places[path] = apigateway.Resource(
                self.context.logical(part),
                rest_api=self.api.id,
                parent_id=self._place(above, places),
                path_part=last,
                opts=self._child(),
            ).id
        return places[path]

    def _stage(self) -> None:
        """A deployment is the API as it is then: a change of what it says makes a new one, to which the stage moves."""
        context, tenants = self.context, self.context.workload.serving.tenants
        said = json.dumps([ROUTES, self.schemas, context.settings.public_api], sort_keys=True)
        deployment = apigateway.Deployment(
            context.logical("api"),
            rest_api=self.api.id,
            triggers={"definition": hashlib.sha256(said.encode()).hexdigest(), "network": self.foundation.network},
            # Without methods that lead somewhere there is nothing to deploy.
            opts=self._child(depends_on=self.routed),
        )
        self._access_log()
        self.stage = apigateway.Stage(
            context.logical("api"),
            rest_api=self.api.id,
            deployment=deployment.id,
            stage_name=STAGE,
            access_log_settings=apigateway.StageAccessLogSettingsArgs(
                destination_arn=self.access_log.arn, format=json.dumps(facts.ACCESS_LOG_FIELDS)
            ),
            xray_tracing_enabled=True,
            tags=context.tags,
            opts=self._child(),
        )
        rate = sum(tenant.requests_per_second for tenant in tenants)
        apigateway.MethodSettings(
            context.logical("api"),
            rest_api=self.api.id,
            stage_name=self.stage.stage_name,
            method_path="*/*",
            settings=apigateway.MethodSettingsSettingsArgs(
                metrics_enabled=True,
                # What is asked and answered is nobody's to read in a log.
                data_trace_enabled=False,
                logging_level="OFF",
                caching_enabled=False,
                throttling_rate_limit=rate,
                throttling_burst_limit=2 * rate,
            ),
            opts=self._child(),
        )

    def _access_log(self) -> None:
        """Who asked what, and how it ended, in the lake. CloudWatch would need a role that an account has only once.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-logging-to-kinesis.html
        """
        context, foundation = self.context, self.foundation
        bucket = self.data.buckets[Zone.CURATED]
        role = iam.Role(
            context.logical("access-log"),
            description=f"{context.name}: writes the log of the API",
            assume_role_policy=policy.trust(["firehose.amazonaws.com"], foundation.account),
            permissions_boundary=foundation.boundary.arn,
            max_session_duration=3600,
            tags=context.tags,
            opts=self._child(),
        )
        rights = iam.RolePolicy(
            context.logical("access-log"),
            role=role.name,
            policy=policy.document(
                policy.allow(["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"], [bucket.arn]),
                policy.allow(
                    ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
                    [pulumi.Output.concat(bucket.arn, "/access/*")],
                ),
                policy.allow(["kms:Decrypt", "kms:GenerateDataKey"], [foundation.key]),
                policy.allow(["logs:PutLogEvents"], [pulumi.Output.concat(foundation.log_group.arn, ":*")]),
            ),
            opts=self._child(),
        )
        log_stream = cloudwatch.LogStream(
            context.logical("access-log"),
            name="access-log",
            log_group_name=foundation.log_group.name,
            opts=self._child(),
        )
        self.access_log = kinesis.FirehoseDeliveryStream(
            context.logical("access-log"),
            name=f"amazon-apigateway-{context.name}-{context.token}",
            destination="extended_s3",
            server_side_encryption=kinesis.FirehoseDeliveryStreamServerSideEncryptionArgs(
                enabled=True, key_type="CUSTOMER_MANAGED_CMK", key_arn=foundation.key
            ),
            extended_s3_configuration=kinesis.FirehoseDeliveryStreamExtendedS3ConfigurationArgs(
                role_arn=role.arn,
                bucket_arn=bucket.arn,
                prefix="access/day=!{timestamp:yyyy-MM-dd}/",
                error_output_prefix="access/errors/!{firehose:error-output-type}/day=!{timestamp:yyyy-MM-dd}/",
                buffering_size=5,
                buffering_interval=300,
                compression_format="GZIP",
                kms_key_arn=foundation.key,
                cloudwatch_logging_options=kinesis.FirehoseDeliveryStreamExtendedS3ConfigurationCloudwatchLoggingOptionsArgs(
                    enabled=True, log_group_name=foundation.log_group.name, log_stream_name=log_stream.name
                ),
            ),
            tags=context.tags,
            # Firehose tries its role on all of these when the delivery stream is made.
            opts=self._child(depends_on=[rights]),
        )

    def _plans(self) -> None:
        self.plans = {tenant.name: self._plan(tenant) for tenant in self.context.workload.serving.tenants}

    def _plan(self, tenant: Tenant) -> apigateway.UsagePlan:
        """Its rate, and its quota; without one it may ask all day at its rate."""
        context = self.context
        plan = apigateway.UsagePlan(
            context.logical(f"plan-{tenant.name}"),
            description=f"What {tenant.name} may ask",
            api_stages=[apigateway.UsagePlanApiStageArgs(api_id=self.api.id, stage=self.stage.stage_name)],
            throttle_settings=apigateway.UsagePlanThrottleSettingsArgs(
                rate_limit=tenant.requests_per_second, burst_limit=2 * tenant.requests_per_second
            ),
            quota_settings=apigateway.UsagePlanQuotaSettingsArgs(
                limit=tenant.requests_per_day or tenant.requests_per_second * 24 * 3600, period="DAY"
            ),
            tags=context.tags | {"tenant": tenant.name},
            opts=self._child(),
        )
        apigateway.UsagePlanKey(
            context.logical(f"plan-{tenant.name}"),
            key_id=self.keys[tenant.name].id,
            key_type="API_KEY",
            usage_plan_id=plan.id,
            opts=self._child(),
        )
        return plan

    def _firewall(self) -> None:
        """Requests of a known bad kind don't reach the router, and who sent them is logged."""
        context = self.context
        self.firewall = wafv2.WebAcl(
            context.logical("api"),
            description=f"{context.name}: what is known to be bad",
            scope="REGIONAL",
            default_action={"allow": {}},
            rules=[
                _rule_group(priority, name, only_counted)
                for priority, (name, only_counted) in enumerate(_RULE_GROUPS.items())
            ],
            visibility_config=wafv2.WebAclVisibilityConfigArgs(
                cloudwatch_metrics_enabled=True, metric_name=context.logical("api"), sampled_requests_enabled=False
            ),
            tags=context.tags,
            opts=self._child(),
        )
        wafv2.WebAclAssociation(
            context.logical("api"),
            resource_arn=self.stage.arn,
            web_acl_arn=self.firewall.arn,
            opts=self._child(),
        )
        # https://docs.aws.amazon.com/waf/latest/developerguide/logging-cw-logs.html
        log = cloudwatch.LogGroup(
            context.logical("firewall"),
            name=f"aws-waf-logs-{context.name}-{context.token}",
            kms_key_id=self.foundation.key,
            retention_in_days=facts.LOG_RETENTION_DAYS,
            tags=context.tags,
            opts=self._child(),
        )
        wafv2.WebAclLoggingConfiguration(
            context.logical("api"),
            resource_arn=self.firewall.arn,
            log_destination_configs=[log.arn],
            # Tokens are nobody's to read in a log.
            redacted_fields=[{"single_header": {"name": "authorization"}}],
            opts=self._child(),
        )


def _rule_group(priority: int, name: str, only_counted: tuple[str, ...]) -> wafv2.WebAclRuleArgs:
    return wafv2.WebAclRuleArgs(
        name=name,
        priority=priority,
        override_action=wafv2.WebAclRuleOverrideActionArgs(none=wafv2.WebAclRuleOverrideActionNoneArgs()),
        statement=wafv2.WebAclRuleStatementArgs(
            managed_rule_group_statement=wafv2.WebAclRuleStatementManagedRuleGroupStatementArgs(
                vendor_name="AWS",
                name=name,
                rule_action_overrides=[
                    wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideArgs(
                        name=counted, action_to_use=_only_counted()
                    )
                    for counted in only_counted
                ],
            )
        ),
        visibility_config=wafv2.WebAclRuleVisibilityConfigArgs(
            cloudwatch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
        ),
    )


def _only_counted() -> wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseArgs:
    return wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseArgs(
        count=wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseCountArgs()
    )
