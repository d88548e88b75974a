"""The settings that there are: options of rankers and cold-start methods, their defaults, ranges and meanings."""
