"""OBS drives the instruction: its connection, the rules, and what they do with its events."""
