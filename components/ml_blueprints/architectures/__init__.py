"""The three reference architectures: layers composed once, for all clouds."""
