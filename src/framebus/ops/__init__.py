"""What is done to streams by hand or by a script."""
