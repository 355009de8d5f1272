"""The steps of training: plain functions from files to files, each with a command line, none with a cloud.

`validate`, `prepare`, `tune`, `train`, `evaluate` (with the gates), `register`, `batch_score` and `drift_baseline`; a
platform's pipeline strings them together (`ml_pipelines.platforms`).
"""
