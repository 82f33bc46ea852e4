"""Our servers speak plain HTTP to the machine itself, to whoever of httpx asks with `verify=NO_TLS`.

Without it each client first reads the certificates of all authorities, which costs more than what it asks.
"""

import ssl

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody."""
