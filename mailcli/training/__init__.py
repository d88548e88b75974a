"""One run: trained, checkpointed, evaluated."""
