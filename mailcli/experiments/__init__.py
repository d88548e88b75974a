"""Many runs: cells, tables, experiments, searches, the document of results."""
