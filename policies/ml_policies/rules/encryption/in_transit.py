"""In work."""

RULES = ()
