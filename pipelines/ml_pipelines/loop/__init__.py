"""The whole loop on one machine, for people to see: `make loop` (docs/monitoring.md)."""
