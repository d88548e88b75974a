"""A dataset on disk, who is new in it, and its batches."""
