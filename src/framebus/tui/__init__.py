"""The terminal dashboard, ``framebus top``: what runs on this machine, as it stands, and the keys to steer it.

``watching`` looks at shared memory and knows nothing of terminals; ``app`` shows what it sees, with textual.
"""
