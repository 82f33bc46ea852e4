"""The straight line of a batch of device reports."""
