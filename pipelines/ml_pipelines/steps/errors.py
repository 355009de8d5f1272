"""What a step says when it can't do its work."""


class StepError(Exception):
    """A step stopped before it wrote anything. The message names the step and the column or file."""

    def __init__(self, step: str, where: str, what: str) -> None:
        super().__init__(f"{step}: {where}: {what}")
        self.step, self.where, self.what = step, where, what
