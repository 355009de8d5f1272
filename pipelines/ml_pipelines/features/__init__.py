"""Features: each defined once, as Ibis expressions, and computed by DuckDB, by Spark and incrementally in the stream.

`definitions/` holds the definitions, `jobs/` and `plans/` what is compiled of them. The stream processor imports
`online` alone, which needs neither Ibis nor an engine.
"""
