"""The report as one HTML page, without anything from elsewhere."""

import importlib.resources

import jinja2

from ml_policies.reports import Report, counted, ordered, summed


def render(report: Report) -> str:
    """The page; all that comes from a stack is escaped."""
    template = importlib.resources.files("ml_policies.reports").joinpath("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(template).render(report=report, counted=counted, ordered=ordered, summed=summed)
