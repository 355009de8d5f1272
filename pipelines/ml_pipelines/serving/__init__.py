"""The scoring service: signed models behind one router, in the protocols of the three clouds (docs/serving.md)."""
