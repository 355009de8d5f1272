"""Batch centric: a whole population is scored on a schedule. For credit scoring, churn and demand forecasting."""

from ml_blueprints.architectures.architecture import Architecture
from ml_blueprints.workload import ArchitectureKind, Mode


class Batch(Architecture):
    """Data lands in the lake; features, training and scheduled scoring read it there, and predictions go back to it.

    Nothing runs between two runs.
    """

    kind = ArchitectureKind.BATCH
    stream = False
    online = False
    modes = frozenset({Mode.BATCH})
