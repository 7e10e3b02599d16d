"""The interfaces of other systems, on framebus' streams and parameters: for scripts that were written for them."""
