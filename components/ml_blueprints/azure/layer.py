"""What the layers on Azure have in common."""

import copy
import re

import pulumi

from ml_blueprints import layers

_OF_AN_API_VERSION = re.compile(r"azure-native:[^:]+/v\d{8}\w*:\w+")


class AzureLayer(layers.Layer):
    """A layer on Azure; a class is this and one of the contracts."""

    cloud = "azure"

    def __init__(self, context: layers.Context, opts: pulumi.ResourceOptions | None = None):
        transformations = pulumi.ResourceOptions(transformations=[without_api_versions])
        super().__init__(context, pulumi.ResourceOptions.merge(opts, transformations))


def without_api_versions(
    args: pulumi.ResourceTransformationArgs,
) -> pulumi.ResourceTransformationResult | None:
    """Take off the aliases by which pulumi-azure-native knows a resource of a type that names an API version.

    Our resources never had such a type, and the SDK gives each of them some twenty: working out their URNs took half of
    a preview.
    """
    if not args.opts.aliases:
        return None
    opts = copy.copy(args.opts)
    opts.aliases = [alias for alias in args.opts.aliases if not _names_api_version(alias)]
    return pulumi.ResourceTransformationResult(args.props, opts)


def _names_api_version(alias: pulumi.Input[str | pulumi.Alias]) -> bool:
    type_ = alias.type_ if isinstance(alias, pulumi.Alias) else None
    return isinstance(type_, str) and _OF_AN_API_VERSION.fullmatch(type_) is not None
