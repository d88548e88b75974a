"""A table of embeddings that may be larger than memory."""
