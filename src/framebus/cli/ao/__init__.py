"""``framebus ao``: commands for calibrating an adaptive-optics loop."""
