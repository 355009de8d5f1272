"""Monitoring: how what is asked, answered and found out later differs from what a model was trained on."""
