"""``framebus demo``: an adaptive-optics loop, calibrated and closed in front of one's eyes."""
