"""The same steps as each platform's own pipeline, and on this machine."""
