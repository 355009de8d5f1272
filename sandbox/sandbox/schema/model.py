"""What a provider's schema says: types, properties, resources and functions, as plain data that is quick to load."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a value.

    kind: `string`, `integer`, `number`, `boolean`, `any`, `asset`, `array` or `map` (of `items`), `object` or `enum`
    (`ref` names it in the schema's `objects` or `enums`), or `union` (of `options`).
    """

    kind: str
    items: "Type | None" = None
    ref: str | None = None
    options: "tuple[Type, ...]" = ()


@dataclass(frozen=True, slots=True)
class Property:
    """One property: its name on the wire, its type, and what the provider documents of it.

    values: the only values that the documentation allows, where it lists them plainly. constant: the one value that
    a property which tells variants of an object apart always has.
    """

    name: str
    type: Type
    required: bool = False
    secret: bool = False
    replaces: bool = False
    values: tuple[str, ...] = ()
    constant: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class ResourceSchema:
    """One resource type. `objects` and `enums` hold every nested type that its properties refer to.

    import_id: what `pulumi import` takes, with placeholders, where the documentation gives it as a format.
    """

    token: str
    inputs: dict[str, Property]
    outputs: dict[str, Property]
    objects: dict[str, dict[str, Property]] = field(default_factory=dict)
    enums: dict[str, tuple[object, ...]] = field(default_factory=dict)
    import_id: str = ""


@dataclass(frozen=True, slots=True)
class FunctionSchema:
    """One function: a data source, with what it takes and what it returns."""

    token: str
    inputs: dict[str, Property]
    outputs: dict[str, Property]
    objects: dict[str, dict[str, Property]] = field(default_factory=dict)
    enums: dict[str, tuple[object, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an input is refused: the path of the property, such as `variants[0].weight`, and the reason."""

    path: str
    reason: str


class UnknownTypeError(LookupError):
    """The package has no resource or function of this token."""
