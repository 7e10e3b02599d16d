"""``framebus ao``: commands of adaptive optics."""
