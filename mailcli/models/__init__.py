"""From a batch to features, logits and gradients."""
