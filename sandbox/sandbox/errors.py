"""What the sandbox tells its user in one line instead of a traceback."""


class SandboxError(Exception):
    """Something that the user can put right; the text says what and how."""
