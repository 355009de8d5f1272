"""Written by `make jobs`."""
