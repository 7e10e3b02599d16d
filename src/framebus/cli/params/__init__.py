"""``framebus params ...``: whole parameter sets in the terminal and in files."""
