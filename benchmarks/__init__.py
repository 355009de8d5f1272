"""Benchmarks: what our stacks and the sandbox cost, each beside a floor that is measured in the same run."""
