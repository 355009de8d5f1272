"""docs/serving.md and the pages of patterns say what there is."""

import re
from pathlib import Path

from ml_pipelines.serving import settings, table
from sandbox import home

PAGE = (home.REPOSITORY / "docs" / "serving.md").read_text(encoding="utf-8")


def test_each_variable_is_there():
    code = Path(settings.__file__).read_text(encoding="utf-8")
    names = set(re.findall(r'"([A-Z][A-Z_]{3,})"', code))
    assert len(names) > 12
    for name in names:
        assert f"`{name}`" in PAGE or f"`{name}=1`" in PAGE, name


def test_each_method_of_ensembles_is_there():
    page = (home.REPOSITORY / "docs" / "patterns" / "ensembles.md").read_text(encoding="utf-8")
    for method in table.Method:
        assert f"`{method.value}`" in page
