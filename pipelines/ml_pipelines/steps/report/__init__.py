"""The report of an evaluation and the model card: what a person reads before a model goes into use."""
