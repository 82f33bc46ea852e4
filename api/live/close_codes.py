"""The codes a map conversation is closed with."""

GOING_AWAY = 1012
"""The server restarts: come back."""
NOT_TEXT = 1003
"""Binary frames."""
UNREASONABLE = 1008
"""A client that does not listen."""
TRY_LATER = 1013
"""A store is away, so nobody can say who is asking."""
UNAUTHENTICATED = 4401
"""No token, a bad one, or one that has expired or was taken back: come back with another."""
