"""All settings: options of rankers and cold-start methods, their defaults, ranges and meanings."""
