"""ML Pipelines: what runs as a workload on the platforms; for now the contracts of their data, as Avro schemas."""
