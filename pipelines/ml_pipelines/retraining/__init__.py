"""What closes the loop: outcomes come back, it is decided whether to train again, and each step leaves a trail."""
