"""The job that looks for drift: our step on what a champion was asked, beside what it was trained on, as data.

Azure's own monitor takes an MLTable of training data as its baseline and what its data collector wrote; nothing here
writes either.
"""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import machinelearningservices

from ml_blueprints import looks
from ml_blueprints.azure import facts, monitoring_job
from ml_blueprints.azure.pipeline_definition import RUN, Job
from ml_blueprints.layers import Context
from ml_blueprints.workload import Model

# Where in the curated zone each run leaves its report; a second one where it is decided to train again.
REPORTS = "drift/"
REPORT, RETRAIN = "drift.json", "retrain.json"


@dataclass(frozen=True)
class Look:
    """What is looked at: what a container was asked, as the URL of its folder, or what was scored in batches; of that,
    what the model answered.

    tenant: whose alone it is, None: all others'. labels: the URL of outcomes. scoring: when batches
    are scored, where nobody asks. trail: the URL of where it is told why training began or didn't.
    """

    model: Model
    window: str
    labels: str
    trail: str
    scoring: str | None = None
    tenant: str | None = None

    @property
    def part(self) -> str:
        """What is called after it."""
        return f"{self.tenant}-drift" if self.tenant else "drift"

    def experiment(self, context: Context) -> str:
        """The experiment that records the job's runs, by which logs tell them from others."""
        return f"{context.name}-{self.part}"

    def command(self, context: Context) -> str:
        """What the job runs. It fails where something pages, by which the owner is told; its reports stay.

        Training makes the champion of all anew, by what all ask: what one tenant asks doesn't start it.
        """
        workload = context.workload
        report = "${{outputs.report}}"
        trail = self.trail if self.tenant is None else None
        # What an ensemble answers has its method's name.
        alone = self.scoring is None and (workload.serving.ensemble is None or self.model.tenant is not None)
        told = looks.drift(workload, context.settings, self.model, self.scoring, alone, self.labels, trail)
        return monitoring_job.command(
            facts.COMMANDS["drift"],
            {
                **told,
                "baseline": "${{inputs.champion}}",
                "window": self.window,
                "to": f"{report}/{REPORT}",
                "retrain": f"{report}/{RETRAIN}" if "trail" in told else None,
            },
        )

    def definition(
        self, context: Context, job: Job, version: pulumi.Input[str], reports: pulumi.Input[str]
    ) -> machinelearningservices.CommandJobArgs:
        """The job. version, reports: URIs of the folders of the model and of what runs leave."""
        return monitoring_job.definition(
            context,
            job,
            self.experiment(context),
            self.command(context),
            {"champion": version},
            {"report": pulumi.Output.concat(reports, f"run={RUN}/")},
        )
