"""As many trivial resources as the configuration says, of a provider that does nothing."""

import pulumi


class Thing(pulumi.CustomResource):
    """A resource with one input and no outputs."""

    def __init__(self, name: str, number: int):
        super().__init__("nothing:index:Thing", name, {"number": number}, pulumi.ResourceOptions(version="1.0.0"))


for number in range(pulumi.Config().require_int("count")):
    Thing(f"thing-{number}", number)
