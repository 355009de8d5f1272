"""The pipelines of a workload as a platform's own SDK compiled them: what the components fill in and provision."""

from collections.abc import Iterator
from dataclasses import dataclass

from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.settings import Settings
from ml_blueprints.workload import Workload

TRAINING, RETRAINING, BATCH_SCORING = "training", "retraining", "batch-scoring"
# What a pipeline is told for a parameter that it isn't given, as its steps have it.
NOTHING = "none"
_ALL = (TRAINING, RETRAINING, BATCH_SCORING)


@dataclass(frozen=True)
class CompiledPipelines:
    """The compiled pipelines of a platform: the name of its folder and the ending of its files."""

    platform: str
    suffix: str

    def source(self, workload: Workload, pipeline: str) -> str:
        """The text of a pipeline. Raises BlueprintError where it can't be read."""
        path = workload.pipeline_file(self.platform, f"{pipeline}.{self.suffix}")
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            right = f"{path} can't be read ({error.strerror}); `make compile` writes those of our tasks"
            raise BlueprintError(
                f"workload {workload.name}", [Problem("pipelines", f"`{workload.pipelines}`", right)]
            ) from None

    def check(self, workload: Workload) -> None:
        """Raise BlueprintError unless all pipelines of the workload are there, before anything is registered."""
        if problems := [*self._missing(workload)]:
            raise BlueprintError(f"workload {workload.name}", problems)

    def _missing(self, workload: Workload) -> Iterator[Problem]:
        for pipeline in _ALL:
            try:
                self.source(workload, pipeline)
            except BlueprintError as error:
                yield from error.problems


def trusted(settings: Settings) -> str:
    """The keys that may have signed a model, as pipelines are told of them."""
    return ",".join(settings.trusted_keys) or NOTHING
