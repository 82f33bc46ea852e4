"""In-memory implementations of the gateway's ports; each passes the contract suite of the real one."""
