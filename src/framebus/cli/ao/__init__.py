"""``framebus ao``: calibrating a loop through its streams."""
