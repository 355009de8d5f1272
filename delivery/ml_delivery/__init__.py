"""Delivery by Git: what a change of the stacks leads to, and what exists in an account that no stack owns."""
