"""The live map: one in-memory fleet view and the conversations it serves."""
