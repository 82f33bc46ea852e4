"""One file per technology and subject; SQL and Lua beside them."""
