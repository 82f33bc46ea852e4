"""The laws of Latchkey."""
