"""Things that go wrong on purpose, and what must hold all the same."""
