"""The event processor: features of each event as it comes, a decision where somebody is asked, and nothing lost.

One core (`core.py`) decides what happens to an event; entry points for Lambda, Cloud Run and Container Apps hand it
what their streams deliver, and say in their streams' terms what is done. docs/streaming.md tells the guarantees.
"""
