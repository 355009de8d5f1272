"""What all definitions have in common: parts that take no unknown field, and files in YAML."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from ml_blueprints.errors import BlueprintError, Problem


class Strict(BaseModel):
    """A part of a definition: unknown fields are refused, types are not coerced, nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def read_yaml(path: Path, what: str, first: str) -> dict[str, Any]:
    """The mapping that the file of a definition holds; `what` it defines, and its first field, are for the errors.

    Raises BlueprintError.
    """

    def refuse(field: str, found: str, right: str) -> BlueprintError:
        return BlueprintError(str(path), [Problem(field, found, right)])

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise refuse("(file)", (error.strerror or str(error)).lower(), f"a {what} file is expected here") from None
    except UnicodeDecodeError as error:
        raise refuse("(file)", f"byte {error.start} is not UTF-8", f"a {what} file is in UTF-8") from None
    except ValueError as error:
        raise refuse("(file)", str(error), f"a {what} file is expected here") from None
    try:
        content = yaml.load(text, Loader=_NoDuplicates)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise refuse(f"line {line}", str(error.problem), f"a {what} is YAML, each field once") from None
    # PyYAML lets through what Python raises for a date, a number or a tag that can't be, or for endless nesting.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        found = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise refuse("(file)", found, f"a {what} is YAML, each field once") from None
    if not isinstance(content, dict):
        found = {"NoneType": "nothing", "list": "a list"}.get(type(content).__name__, "a single value")
        raise refuse("(file)", found, f"a {what} is a YAML mapping that begins with `{first}:`")
    return content


class _NoDuplicates(yaml.SafeLoader):
    """YAML that refuses a key that is written twice, where PyYAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the field `{key.value}` a second time", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)
