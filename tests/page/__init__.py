"""The page alone: its pure parts in Node, and its conversation with a fake city in a real browser."""
