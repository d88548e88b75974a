"""Raw files -> a dataset."""
