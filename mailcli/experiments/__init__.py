"""Many runs: cells, tables, plans, searches, the document of results."""
