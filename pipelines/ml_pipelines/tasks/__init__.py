"""The tasks that models are trained for: one for each workload, and two more for the sake of their data."""

from collections.abc import Mapping

from ml_pipelines.tasks.churn import CALLS, CHURN
from ml_pipelines.tasks.credit import CREDIT, LOANS
from ml_pipelines.tasks.delivery_eta import DELIVERY
from ml_pipelines.tasks.demand_forecasting import DEMAND
from ml_pipelines.tasks.fraud_detection import FRAUD
from ml_pipelines.tasks.personalization import PERSONALIZATION
from ml_pipelines.tasks.task import Task

__all__ = ["TASKS", "Task", "find"]

TASKS: Mapping[str, Task] = {
    task.name: task for task in (CHURN, CREDIT, DELIVERY, DEMAND, FRAUD, PERSONALIZATION, CALLS, LOANS)
}


def find(name: str) -> Task:
    """The task of this name. Raises LookupError with those that there are."""
    if name not in TASKS:
        raise LookupError(f"there is no task `{name}`; there are {', '.join(TASKS)}")
    return TASKS[name]
