"""Through which names and from which pages this API may be asked, and from which address a request really came."""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from api.problems import Problem, printable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Doors(Struct, frozen=True):
    """What the settings say of names, pages and proxies."""

    hosts: frozenset[str] | None = None
    """Names (without port) that a Host header may have; None: any."""
    origins: frozenset[str] = frozenset()
    """Pages of other origins that may open the live map: `https://app.example.org`."""
    proxies: tuple[Network, ...] = ()
    """Whose X-Forwarded-For is believed."""

    def is_host(self, host: str) -> bool:
        """Whether the request came for us. A page elsewhere whose name was pointed at this machine says its own."""
        return self.hosts is None or _without_port(host.lower()) in self.hosts

    def is_origin(self, origin: str | None, host: str) -> bool:
        """Whether a page from there may open a WebSocket; programs that are no browsers name no origin."""
        if origin is None or origin.lower() in self.origins:
            return True
        try:
            parts = urlsplit(origin.lower())
        except ValueError:
            # Half an address in brackets, say.
            return False
        return parts.scheme in ("http", "https") and parts.netloc == host.lower() and bool(parts.netloc)

    def address(self, peer: str, forwarded: str | None) -> str:
        """Who asks: the last hop that is no proxy of ours."""
        peer = _plain(peer)
        if forwarded is None or not self._is_proxy(peer):
            return peer
        for hop in reversed([_plain(one.strip()) for one in forwarded.split(",")]):
            if not _is_address(hop):
                return peer
            if not self._is_proxy(hop):
                return hop
            peer = hop
        return peer

    def _is_proxy(self, address: str) -> bool:
        return _is_address(address) and any(ipaddress.ip_address(address) in one for one in self.proxies)


def subscriber(address: str) -> str:
    """What one customer of a network has of addresses: one of IPv4, of IPv6 the 64 bits that a provider gives away
    whole (RFC 6177), from which each may draw as many as they like."""
    if not _is_address(address):
        return address
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv4Address):
        return address
    return str(ipaddress.ip_network((int(found), 64), strict=False))


def doors_of(
    bound_host: str, *, hosts: Sequence[str], origins: Sequence[str], proxies: Sequence[str]
) -> Doors:
    """Bound to loopback, only its own names are taken unless others are listed. Raises ValueError with the reason."""
    networks = tuple(ipaddress.ip_network(one) for one in proxies)
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
            raise ValueError(f"{printable(origin)!r} is no origin such as https://app.example.org")
    own = _LOOPBACK_NAMES if _is_loopback(bound_host) else frozenset()
    listed = frozenset(one.lower() for one in hosts)
    names = own | listed | ({bound_host.lower()} if listed else frozenset())
    return Doors(names or None, frozenset(one.lower() for one in origins), networks)


def misdirected(host: str) -> Problem:
    """A request for a name that is not ours."""
    return Problem(
        "misdirected_request", 421, f"This API is not {printable(host) or 'nobody'}; see LATCHKEY_API_HOSTS."
    )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _plain(address: str) -> str:
    """A socket that listens for both families names those of IPv4 as `::ffff:192.0.2.1`."""
    if not _is_address(address):
        return address
    found = ipaddress.ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return address if mapped is None else str(mapped)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
