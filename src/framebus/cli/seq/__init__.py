"""The commands ``framebus seq``."""
