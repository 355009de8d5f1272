"""What a platform costs in a month: a table of dated prices, and what each registered resource takes of them.

`prices` is the table, `usage` turns the workload's own words into what goes on in a month, `aws`, `gcp` and `azure` say
which prices a type of resource takes, and `ledger` notes the resources of a stack as they are registered.
"""
