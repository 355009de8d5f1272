"""Reads a provider's schema from the source of its installed Python SDK, without importing it.

Importing a cloud SDK takes a second and hundreds of megabytes, and imports race in a provider that serves many threads.
The source says the same: the signatures of `...Args` give inputs, types and what is required, properties give names on
the wire and outputs, `_enums.py` gives closed sets of values, and docstrings say what forces a replacement.
"""

import ast
import json
import re
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path

from sandbox.schema.model import FunctionSchema, Property, ResourceSchema, Type, UnknownTypeError

_SCALARS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "Any": "any"}
_REPLACES = re.compile(
    r"forces? (a )?new resource|forces? replacement|changing (this|it)( \w+){0,4} (forces|creates|will create)"
    r"|(cannot|can't|can not) be (changed|updated|modified)|(is|field) immutable|immutable\.",
    re.IGNORECASE,
)
_VALUES = re.compile(
    r"(?:valid|allowed|possible|supported) (?:values|options)(?: are)?:? "
    r"((?:`[^`\s]+`(?:, and |, or |, | and | or )?){2,})(?:\.|$)",
    re.IGNORECASE,
)
_MORE_VALUES = re.compile(r"also (valid|allowed|supported|accept)", re.IGNORECASE)
_CLASS = re.compile(r"^class (\w+)\b", re.MULTILINE)


class Source:
    """The source of one SDK package, such as `pulumi_aws`."""

    def __init__(self, package: str):
        self.package = package
        self.module = f"pulumi_{package.replace('-', '_')}"
        spec = find_spec(self.module)
        if spec is None or spec.origin is None:
            raise UnknownTypeError(
                f"the SDK {self.module} is not installed, so the sandbox can't know {package}'s resources"
            )
        self.root = Path(spec.origin).parent

    @cached_property
    def index(self) -> dict[str, tuple[str, str]]:
        """Type token to the folder of its module and the name of its class, as the SDK registers them."""
        text = (self.root / "__init__.py").read_text(encoding="utf-8")
        listed = re.search(r'resource_modules="""\n(.*?)\n"""', text, re.DOTALL)
        if listed is None:
            raise UnknownTypeError(f"{self.module}/__init__.py lists no resource modules")
        return {
            token: (entry["fqn"], name) for entry in json.loads(listed[1]) for token, name in entry["classes"].items()
        }

    def resource(self, token: str) -> ResourceSchema:
        """The schema of a resource type."""
        if token not in self.index:
            raise UnknownTypeError(token)
        fqn, name = self.index[token]
        folder = self._folder(fqn)
        text, tree = _parse(self._file_of_class(folder, name, token))
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        nested = _Nested(self, folder)
        resource = classes[name]
        secrets = set(re.findall(r'"(\w+)"', "".join(re.findall(r"additional_secret_outputs=\[(.*?)\]", text))))
        # Where a nested type has taken the usual name already, the SDK adds `Init`.
        arguments = classes.get(f"{name}Args") or classes.get(f"{name}InitArgs")
        inputs = nested.properties(arguments, from_init=True) if arguments else {}
        outputs = nested.properties(resource, from_init=False)
        inputs = {key: _with_secret(value, key in secrets) for key, value in inputs.items()}
        outputs = {key: _with_secret(value, key in secrets) for key, value in outputs.items()}
        nested.resolve()
        imported = re.search(rf"pulumi import {re.escape(token)} \S+ (\S*\{{\{{\S*)", text)
        return ResourceSchema(
            token, inputs, outputs, nested.objects, nested.enums, import_id=imported[1] if imported else ""
        )

    def function(self, token: str) -> FunctionSchema:
        """The schema of a function."""
        module, name = _module_and_name(token)
        folder = self._folder_of_module(module)
        path = folder / f"{snake(name)}.py"
        if not path.exists():
            raise UnknownTypeError(token)
        _, tree = _parse(path)
        nested = _Nested(self, folder)
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == snake(name)]
        result = next(
            n
            for n in tree.body
            if isinstance(n, ast.ClassDef) and n.name.endswith("Result") and not n.name.startswith("Awaitable")
        )
        inputs = nested.parameters(functions[-1], _wire_names_of_call(functions[-1]))
        outputs = nested.properties(result, from_init=False)
        nested.resolve()
        return FunctionSchema(token, inputs, outputs, nested.objects, nested.enums)

    def configuration(self) -> dict[str, Property]:
        """What the provider itself can be configured with."""
        _, tree = _parse(self.root / "provider.py")
        nested = _Nested(self, self.root)
        arguments = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "ProviderArgs")
        return nested.properties(arguments, from_init=True)

    def _folder(self, fqn: str) -> Path:
        return self.root.joinpath(*fqn.split(".")[1:])

    def _folder_of_module(self, module: str) -> Path:
        if module in ("index", ""):
            return self.root
        for token, (fqn, _) in self.index.items():
            if _module_and_name(token)[0] == module:
                return self._folder(fqn)
        return self.root / module

    def _file_of_class(self, folder: Path, name: str, token: str) -> Path:
        marker = f'type_token("{token}")'
        guess = folder / f"{snake(name)}.py"
        if guess.exists() and marker in guess.read_text(encoding="utf-8"):
            return guess
        for path in sorted(folder.glob("*.py")):
            if marker in path.read_text(encoding="utf-8"):
                return path
        raise UnknownTypeError(token)


class _Nested:
    """Collects the nested types that a resource's or a function's properties refer to."""

    def __init__(self, source: Source, folder: Path):
        self.source, self.folder = source, folder
        self.objects: dict[str, dict[str, Property]] = {}
        self.enums: dict[str, tuple[object, ...]] = {}
        self.waiting: list[tuple[str, Path, str, str]] = []

    def properties(self, node: ast.ClassDef, from_init: bool, folder: Path | None = None) -> dict[str, Property]:
        """The properties of a class: of an `...Args` class by its signature, of any other by its getters."""
        folder = folder or self.folder
        getters = [
            (item, wire) for item in node.body if isinstance(item, ast.FunctionDef) and (wire := _wire_name(item))
        ]
        if from_init:
            init = next(item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__")
            docs = {item.name: ast.get_docstring(item) or "" for item, _ in getters}
            return self.parameters(init, {item.name: wire for item, wire in getters}, docs, folder)
        return {
            wire: Property(
                wire,
                self.type(item.returns, folder),
                required=not _is_optional(item.returns),
                description=_brief(ast.get_docstring(item) or ""),
            )
            for item, wire in getters
        }

    def parameters(
        self,
        function: ast.FunctionDef,
        wires: dict[str, str],
        docs: dict[str, str] | None = None,
        folder: Path | None = None,
    ) -> dict[str, Property]:
        """The parameters of a signature, under their names on the wire; those without a default are required."""
        arguments = function.args
        pairs = list(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
        pairs += [(arg, ast.Constant(None)) for arg in arguments.args]
        constants = _constants(function)
        found = {}
        for argument, default in pairs:
            if argument.arg not in wires:
                continue
            wire, doc = wires[argument.arg], (docs or {}).get(argument.arg, "")
            found[wire] = Property(
                wire,
                self.type(argument.annotation, folder or self.folder),
                required=default is None,
                replaces=bool(_REPLACES.search(doc)),
                values=_documented_values(doc),
                constant=constants.get(argument.arg),
                description=_brief(doc),
            )
        return found

    def type(self, node: ast.expr | None, folder: Path) -> Type:
        """The type that an annotation means; Input, Output, Optional and Awaitable say nothing of the value."""
        match node:
            case None:
                return Type("any")
            case ast.Constant(value=str(text)):
                return self._reference(text, folder)
            case ast.Attribute(attr=name) if name in _SCALARS:
                return Type(_SCALARS[name])
            case ast.Attribute(attr="Asset" | "Archive"):
                return Type("asset")
            case ast.Name(id=name) if name in _SCALARS:
                return Type(_SCALARS[name])
            case ast.Subscript(value=outer, slice=inner):
                return self._subscript(ast.unparse(outer).rpartition(".")[2], inner, folder)
        return Type("any")

    def _subscript(self, outer: str, inner: ast.expr, folder: Path) -> Type:
        match outer:
            case "Sequence":
                return Type("array", items=self.type(inner, folder))
            case "Mapping" if isinstance(inner, ast.Tuple):
                return Type("map", items=self.type(inner.elts[1], folder))
            case "Union" if isinstance(inner, ast.Tuple):
                # Functions take a nested object as its class or as a typed dictionary, which says the same once more.
                elements = [item for item in inner.elts if not _is_none(item) and "ArgsDict" not in ast.unparse(item)]
                options = tuple(dict.fromkeys(self.type(option, folder) for option in elements))
                return options[0] if len(options) == 1 else Type("union", options=options)
        return self.type(inner, folder)

    def _reference(self, text: str, folder: Path) -> Type:
        """A forward reference: `XArgs`, `outputs.X`, an enum, or one of another module such as `_iam.XArgs`."""
        if "[" in text:
            return self.type(ast.parse(text, mode="eval").body, folder)
        *path, name = text.split(".")
        for step in path:
            if step not in ("outputs", "_inputs", "_enums"):
                folder = self.source.root / step.removeprefix("_").replace(self.source.module, "")
                folder = folder if folder.exists() else self.source.root / step.strip("_")
        file = "outputs.py" if "outputs" in path else "_inputs.py"
        kind = "outputs" if file == "outputs.py" else "inputs"
        key = f"{folder.relative_to(self.source.root).as_posix()}/{kind}:{name}"
        if _class_text(folder / file, name) is not None:
            if key not in self.objects:
                self.objects[key] = {}
                self.waiting.append((key, folder, file, name))
            return Type("object", ref=key)
        if (enum := _class_text(folder / "_enums.py", name)) is not None:
            self.enums.setdefault(key, _enum_values(enum))
            return Type("enum", ref=key)
        return Type("any")

    def resolve(self) -> None:
        """Read every nested class that was referred to, and those that these refer to."""
        while self.waiting:
            key, folder, file, name = self.waiting.pop()
            node = _parse_class(folder / file, name)
            self.objects[key] = self.properties(node, from_init=file == "_inputs.py", folder=folder)


def snake(name: str) -> str:
    """The SDKs' file name for a class or a function: `AiEndpoint` is `ai_endpoint`, `VPCLink` is `vpc_link`."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def _module_and_name(token: str) -> tuple[str, str]:
    if token.count(":") != 2:
        raise UnknownTypeError(token)
    _, module, name = token.split(":")
    return module.partition("/")[0], name


def _with_secret(value: Property, secret: bool) -> Property:
    if not secret:
        return value
    return Property(
        value.name, value.type, value.required, True, value.replaces, value.values, value.constant, value.description
    )


@lru_cache(maxsize=32)
def _parse(path: Path) -> tuple[str, ast.Module]:
    text = path.read_text(encoding="utf-8")
    return text, ast.parse(text)


@lru_cache(maxsize=64)
def _classes(path: Path) -> tuple[str, dict[str, tuple[int, int]]]:
    """The text of a file and where each of its classes begins and ends; large files are never parsed as a whole."""
    if not path.exists():
        return "", {}
    text = path.read_text(encoding="utf-8")
    starts = [(match.start(), match[1]) for match in _CLASS.finditer(text)]
    ends = [start for start, _ in starts[1:]] + [len(text)]
    return text, {name: (start, end) for (start, name), end in zip(starts, ends, strict=True)}


def _class_text(path: Path, name: str) -> str | None:
    text, places = _classes(path)
    if name not in places:
        return None
    start, end = places[name]
    body = text[start:end]
    # What follows the class at the left margin belongs to the next one: its decorators, or an `if`.
    tail = re.search(r"\n(?=[^\s#])", body)
    return body[: tail.start()] if tail else body


def _parse_class(path: Path, name: str) -> ast.ClassDef:
    text = _class_text(path, name)
    if text is None:
        raise UnknownTypeError(f"{path} has no class {name}")
    node = ast.parse(text).body[0]
    if not isinstance(node, ast.ClassDef):
        raise UnknownTypeError(f"{path}: {name} is not a class")
    return node


def _enum_values(text: str) -> tuple[object, ...]:
    node = ast.parse(text).body[0]
    return tuple(ast.literal_eval(item.value) for item in getattr(node, "body", []) if isinstance(item, ast.Assign))


def _wire_name(function: ast.FunctionDef) -> str | None:
    """The name on the wire of a property's getter, or None for any other function."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pulumi.getter":
            return next(ast.literal_eval(keyword.value) for keyword in decorator.keywords if keyword.arg == "name")
        if ast.unparse(decorator) == "pulumi.getter":
            return function.name
    return None


def _wire_names_of_call(function: ast.FunctionDef) -> dict[str, str]:
    """Of a function: its parameters and the names under which it sends them, from `__args__['name'] = name`."""
    names = {}
    for node in ast.walk(function):
        match node:
            case ast.Assign(
                targets=[ast.Subscript(value=ast.Name(id="__args__"), slice=ast.Constant(value=str(wire)))],
                value=ast.Name(id=name),
            ):
                names[name] = wire
    return names


def _constants(function: ast.FunctionDef) -> dict[str, str]:
    """Properties that the SDK itself sets to one value, such as the kind that tells variants apart."""
    found = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pulumi.set" and len(node.args) == 3:
            match node.args[1:]:
                case [ast.Constant(value=str(name)), ast.Constant(value=str(value))]:
                    found[name] = value
    return found


def _documented_values(doc: str) -> tuple[str, ...]:
    """The values that a documentation lists as the only ones, if it says so in one plain sentence."""
    text = " ".join(doc.split())
    match = None if _MORE_VALUES.search(text) else _VALUES.search(text)
    return tuple(re.findall(r"`([^`]+)`", match[1])) if match else ()


def _is_optional(node: ast.expr | None) -> bool:
    return node is None or "Optional[" in ast.unparse(node).replace("'", "")[:24]


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _brief(doc: str) -> str:
    return " ".join(doc.split())[:200]
