"""Commands that load, save, measure, change and compute with streams."""
