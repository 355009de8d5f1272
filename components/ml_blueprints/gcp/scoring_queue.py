"""A queue of requests that wait for their answers: Cloud Tasks, which hands them to a service one by one."""

import pulumi
from pulumi_gcp import cloudrunv2, cloudtasks

from ml_blueprints.gcp import cloud_run, facts
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose

# The path of the scoring service that a task asks.
_PATH = "/v1/score"


def queue(
    context: Context, foundation: Foundation, service: cloudrunv2.Service, opts: pulumi.ResourceOptions
) -> cloudtasks.Queue:
    """A queue whose tasks all go to the service, with a token of the identity that ingests; what fails is tried again.

    Whoever makes tasks says what is asked, and neither where nor as whom. As many run at a time as the service may
    have instances. Its key is one of the whole region's queues (`gcloud tasks cmek-config update`): no resource has it.
    https://cloud.google.com/tasks/docs/creating-http-target-tasks and https://cloud.google.com/tasks/docs/cmek
    """
    ingest = foundation.member(Purpose.INGEST)
    may_invoke = cloud_run.let_invoke("queue", service, context, foundation, ingest, opts)
    return cloudtasks.Queue(
        context.logical("requests"),
        location=foundation.region,
        http_target=cloudtasks.QueueHttpTargetArgs(
            http_method="POST",
            uri_override=cloudtasks.QueueHttpTargetUriOverrideArgs(
                scheme="HTTPS",
                host=service.uri.apply(lambda uri: uri.removeprefix("https://")),
                path_override=cloudtasks.QueueHttpTargetUriOverridePathOverrideArgs(path=_PATH),
                uri_override_enforce_mode="ALWAYS",
            ),
            oidc_token=cloudtasks.QueueHttpTargetOidcTokenArgs(
                service_account_email=foundation.identities[Purpose.INGEST], audience=service.uri
            ),
        ),
        rate_limits=cloudtasks.QueueRateLimitsArgs(
            max_dispatches_per_second=facts.TASKS_PER_SECOND,
            max_concurrent_dispatches=context.workload.serving.replicas.maximum * facts.TASKS_PER_INSTANCE,
        ),
        retry_config=cloudtasks.QueueRetryConfigArgs(
            max_attempts=facts.TASK_ATTEMPTS, min_backoff="1s", max_backoff="300s", max_doublings=8
        ),
        stackdriver_logging_config=cloudtasks.QueueStackdriverLoggingConfigArgs(sampling_ratio=1.0),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[may_invoke, *foundation.services])),
    )
