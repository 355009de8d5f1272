"""Workflows that run jobs of Vertex AI, as data: what runs, under which identity, in which network.

The format is that of Cloud Workflows (https://cloud.google.com/workflows/docs/reference/syntax), and a job is the body
of Vertex AI's customJobs.create (https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.customJobs).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_gcp import cloudscheduler

from ml_blueprints.gcp import facts

# A job that takes longer is ended, and the workflow that waits for it with an error.
TIMEOUT_SECONDS = 4 * 3600

# Seconds between two looks at what a workflow waits for.
PATIENCE = 60


@dataclass(frozen=True)
class Job:
    """Where and from which image the jobs of a platform run."""

    project: pulumi.Input[str]
    region: str
    image: pulumi.Input[str]
    key: pulumi.Input[str]
    attachment: pulumi.Input[str]
    labels: dict[str, str]


@dataclass(frozen=True)
class Run:
    """One run of a job: the command, under whose identity, where its output goes, and what it is told."""

    name: str
    command: Sequence[str]
    identity: pulumi.Input[str]
    destination: pulumi.Input[str]
    arguments: Sequence[pulumi.Input[str]] = ()


def run_job(job: Job, run: Run, *afterwards: dict[str, Any]) -> pulumi.Output[str]:
    """A workflow that runs a job, and other steps after it, and fails where one of them does."""
    return workflow(_job_step(job, run), *afterwards)


def run_check(
    job: Job,
    run: Run,
    report: pulumi.Input[str],
    topic: pulumi.Input[str] | None = None,
    retraining: pulumi.Input[str] | None = None,
) -> pulumi.Output[str]:
    """A workflow that runs a check, reads the JSON report that it left, and publishes it where it says `drifted`.

    Where it says `retrain` it is published to the topic `retraining`, too. The workflow fails where the check didn't
    pass for another reason, so that somebody is told and nothing is trained on what is broken; without a topic for
    whatever reason. `report` is the URL of the object in the JSON API of Cloud Storage.
    """
    failed = {"condition": "${not(report.body.passed)}", "raise": "${json.encode_to_string(report.body.findings)}"}
    read = {"call": "http.get", "args": {"url": report, "auth": {"type": "OAuth2"}}, "result": "report"}
    looked = (_job_step(job, run), {"read": read})
    if topic is None:
        return workflow(*looked, {"judge": {"switch": [failed], "next": "end"}})
    judge = {"switch": [{"condition": "${report.body.drifted}", "next": "publish"}, failed], "next": "end"}
    steps = [{"judge": judge}, {"publish": _published(topic)}]
    if retraining is not None:
        decide = {"switch": [{"condition": "${report.body.retrain}", "next": "retrain"}], "next": "end"}
        steps += [{"decide": decide}, {"retrain": _published(retraining)}]
    return workflow(*looked, *steps)


def _published(topic: pulumi.Input[str]) -> dict[str, Any]:
    message = {"topic": topic, "body": {"messages": [{"data": "${base64.encode(json.encode(report.body))}"}]}}
    return {"call": "googleapis.pubsub.v1.projects.topics.publish", "args": message}


def start(workflow: pulumi.Input[str], identity: pulumi.Input[str]) -> cloudscheduler.JobHttpTargetArgs:
    """The request by which Cloud Scheduler starts a workflow (its resource name) under an identity (its e-mail)."""
    return cloudscheduler.JobHttpTargetArgs(
        uri=pulumi.Output.concat(facts.EXECUTIONS_URL, workflow, "/executions"),
        http_method="POST",
        oauth_token=cloudscheduler.JobHttpTargetOauthTokenArgs(service_account_email=identity),
    )


def workflow(*steps: dict[str, Any]) -> pulumi.Output[str]:
    """The source of a workflow."""
    return pulumi.Output.json_dumps({"main": {"params": ["input"], "steps": list(steps)}})


def waited(look: Mapping[str, Any], found: str, states: str, failure: str) -> list[dict[str, Any]]:
    """Steps that look at a run again and again until it has ended: return its name, or raise where it failed.

    look: a step that leaves the run in the variable `found`; states: how names of its states begin; failure: an
    expression for what is raised.
    """
    return [
        {"wait": {"call": "sys.sleep", "args": {"seconds": PATIENCE}}},
        {"look": look},
        {
            "judge": {
                "switch": [
                    {"condition": f'${{{found}.body.state == "{states}SUCCEEDED"}}', "next": "finish"},
                    *(
                        {"condition": f'${{{found}.body.state == "{states}{state}"}}', "next": "give_up"}
                        for state in ("FAILED", "CANCELLED")
                    ),
                ],
                "next": "wait",
            }
        },
        {"give_up": {"raise": failure}},
        {"finish": {"return": f"${{{found}.body.name}}"}},
    ]


def asked(method: str, arguments: dict[str, Any], result: str) -> dict[str, Any]:
    """A request under the workflow's own identity, which is repeated where nobody answered.

    https://cloud.google.com/workflows/docs/reference/stdlib/http/default_retry
    """
    call = {"call": method, "args": {**arguments, "auth": {"type": "OAuth2"}}, "result": result}
    return {"try": call, "retry": "${http.default_retry}"}


def _job_step(job: Job, run: Run) -> dict[str, Any]:
    specification: dict[str, Any] = {
        "workerPoolSpecs": [
            {
                "machineSpec": {"machineType": facts.JOB_MACHINE_TYPE},
                "diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": facts.JOB_DISK_GIB},
                "replicaCount": "1",
                "containerSpec": {
                    "imageUri": job.image,
                    "command": list(run.command),
                    "args": list(run.arguments),
                },
            }
        ],
        "serviceAccount": run.identity,
        "pscInterfaceConfig": {"networkAttachment": job.attachment},
        "baseOutputDirectory": {"outputUriPrefix": run.destination},
        "scheduling": {"timeout": f"{TIMEOUT_SECONDS}s"},
    }
    return {
        "run": {
            "call": "googleapis.aiplatform.v1.projects.locations.customJobs.create",
            "args": {
                "parent": pulumi.Output.concat("projects/", job.project, "/locations/", job.region),
                "region": job.region,
                "body": {
                    "displayName": run.name,
                    "labels": job.labels,
                    "encryptionSpec": {"kmsKeyName": job.key},
                    "jobSpec": specification,
                },
                "connector_params": {"timeout": TIMEOUT_SECONDS + 600},
            },
            "result": "job",
        }
    }
