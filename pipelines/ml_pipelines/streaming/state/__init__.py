"""Where the processor keeps what it knows of each entity: an interface (`store.py`) and a module per store."""
