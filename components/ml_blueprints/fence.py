"""The fence of an experiment: what it may see, and until when. It is looser than production in all else."""

import datetime
from typing import get_args

from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.settings import NAMESPACE, Settings
from ml_blueprints.workload import Classification, Workload

_SECRECY = get_args(Classification)


def check(workload: Workload, settings: Settings, today: datetime.date | None = None) -> None:
    """Raise BlueprintError for an experiment that is over (by UTC), or whose data is more secret than it may see."""
    experiment = settings.experiment
    if experiment is None:
        return
    today = today or datetime.datetime.now(datetime.UTC).date()
    problems = []
    if today > datetime.date.fromisoformat(experiment.expires_on):
        right = f"the experiment is over, today is {today}: `pulumi destroy` it, or set a later day"
        problems.append(Problem(f"{NAMESPACE}:experiment.expires_on", f"`{experiment.expires_on}`", right))
    found = workload.data.classification
    if _SECRECY.index(found) > _SECRECY.index(experiment.classification):
        right = f"the experiment sees data up to `{experiment.classification}`: take data without what makes it secret"
        problems.append(Problem("data.classification", f"`{found}`", right))
    if problems:
        raise BlueprintError(f"workload {workload.name}, experiment", problems)
