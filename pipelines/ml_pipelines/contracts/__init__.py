"""Contracts of events and tables: a folder per contract, a file per version, and the codec that holds to them."""
