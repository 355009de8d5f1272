"""Tokens for versions: drawn at random, so that a value that is written anew never has the token of a forgotten one."""

import os

from ml_pipelines.streaming.state import Version


def new_version() -> Version:
    """A version that no other value has."""
    return Version(os.urandom(12).hex())
