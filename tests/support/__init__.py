"""What the tests share: other processes under control, and a look for what a test leaves behind."""
