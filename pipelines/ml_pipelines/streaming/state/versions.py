"""Versions of items: drawn at random, so that an item that is made anew never has the version of a forgotten one."""

import secrets


def new_version() -> int:
    """A version that no other item has. 53 bits are whole numbers in every store and in every script."""
    return secrets.randbits(53)
