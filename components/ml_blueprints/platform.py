"""From a stack's configuration to a platform: read the settings and the workload, and build the architecture."""

import importlib
from pathlib import Path

from ml_blueprints.architectures.architecture import Architecture
from ml_blueprints.settings import Settings
from ml_blueprints.workload import ArchitectureKind, Workload

_MODULES = {
    ArchitectureKind.STREAMING: ("streaming", "Streaming"),
    ArchitectureKind.BATCH: ("batch", "Batch"),
    ArchitectureKind.HYBRID: ("hybrid", "Hybrid"),
}


def architecture(kind: ArchitectureKind) -> type[Architecture]:
    """The class of a reference architecture."""
    module, name = _MODULES[kind]
    return getattr(importlib.import_module(f"ml_blueprints.architectures.{module}"), name)


def from_config(directory: Path) -> Architecture:
    """Build what the stack's configuration asks for; workload files are looked up in `directory`.

    Raises BlueprintError for a wrong configuration or workload, before any resource is registered.
    """
    settings = Settings.from_config()
    workload = Workload.load(directory / settings.workload)
    return architecture(settings.architecture)(workload.name, workload, settings)
