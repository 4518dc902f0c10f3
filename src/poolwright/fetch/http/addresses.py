"""Decide which addresses may be connected to: by default those of the public internet only.

The special networks are those of the IANA registries (RFC 6890 and its updates), listed here so that a decision does
not depend on the version of Python. An address that carries another one (IPv4-mapped, NAT64, 6to4, Teredo, ...)
is judged by both.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PRIVATE = (
    ("127.0.0.0/8", "loopback"), ("::1/128", "loopback"),
    ("10.0.0.0/8", "private"), ("172.16.0.0/12", "private"), ("192.168.0.0/16", "private"),
    ("fc00::/7", "private"), ("100.64.0.0/10", "shared (carrier-grade NAT)"),
    ("169.254.0.0/16", "link-local"), ("fe80::/10", "link-local"), ("fec0::/10", "site-local"),
)  # fmt: skip
"""Networks that `allow_private` allows."""

_NEVER = (
    ("0.0.0.0/8", "unspecified"), ("::/128", "unspecified"), ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "documentation"), ("198.51.100.0/24", "documentation"), ("203.0.113.0/24", "documentation"),
    ("192.88.99.0/24", "reserved"), ("198.18.0.0/15", "benchmarking"), ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"), ("::/96", "reserved"), ("64:ff9b:1::/48", "local NAT64"), ("100::/64", "discard"),
    ("2001::/23", "reserved"), ("2001:db8::/32", "documentation"), ("3fff::/20", "documentation"),
    ("5f00::/16", "segment routing"), ("ff00::/8", "multicast"),
)  # fmt: skip
"""Networks that only `allow_networks` allows."""

METADATA = ("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")
"""Addresses of cloud credentials: AWS, GCP, Azure, Alibaba, Oracle; allowed only by their own /32 or /128."""

_CARRIERS = (("::ffff:0:0/96", 0), ("::ffff:0:0:0/96", 0), ("64:ff9b::/96", 0), ("2002::/16", 80))
"""IPv6 networks whose addresses carry an IPv4 address, and how many bits come after it."""


def _table(rows: Sequence[tuple[str, str]]) -> tuple[tuple[Network, str], ...]:
    return tuple((ipaddress.ip_network(network), word) for network, word in rows)


_PRIVATE_TABLE, _NEVER_TABLE = _table(_PRIVATE), _table(_NEVER)
_METADATA = frozenset(map(ipaddress.ip_address, METADATA))
_CARRIER_TABLE = tuple((ipaddress.IPv6Network(network), shift) for network, shift in _CARRIERS)
_TEREDO = ipaddress.IPv6Network("2001::/32")
_ISATAP = (0x00005EFE, 0x02005EFE)


@dataclass(frozen=True)
class AddressGuard:
    """Judges addresses.

    Attributes:
        allow_private: whether loopback, private, shared and link-local networks are allowed.
        allow_networks: networks that are allowed in any case.
    """

    allow_private: bool = False
    allow_networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, allow_private: bool, networks: Iterable[str]) -> AddressGuard:
        """Make a guard from networks as text, such as '10.1.0.0/16'."""
        return cls(allow_private, tuple(map(ipaddress.ip_network, networks)))

    def refusal(self, address: str) -> str | None:
        """Explain why an address may not be connected to; None if it may.

        Args:
            address: IPv4 or IPv6; a zone ('%eth0') is ignored.
        """
        try:
            whole = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return f"{address} is not an address"
        if any(whole in network for network in self.allow_networks if whole not in _METADATA):
            return None
        for one in (whole, *carried(whole)):
            word = self._word(one)
            if word:
                return f"{address} is {word}" if one == whole else f"{address} carries {one}, which is {word}"
        return None

    def _word(self, address: Address) -> str | None:
        if address in _METADATA:
            alone = (network for network in self.allow_networks if network.num_addresses == 1)
            return None if any(address in network for network in alone) else "a cloud metadata service"
        if any(address in network for network in self.allow_networks):
            return None
        word = _look_up(address, _PRIVATE_TABLE)
        if word:  # ::1 is in the reserved ::/96 too, but counts as loopback
            return None if self.allow_private else word
        return _look_up(address, _NEVER_TABLE)


def _look_up(address: Address, table: tuple[tuple[Network, str], ...]) -> str | None:
    return next((word for network, word in table if address in network), None)


def carried(address: Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the IPv4 addresses within an IPv6 address: mapped, translated, NAT64, 6to4, Teredo's two, ISATAP."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    value = int(address)
    for network, shift in _CARRIER_TABLE:
        if address in network:
            return (ipaddress.IPv4Address(value >> shift & 0xFFFFFFFF),)
    if address in _TEREDO:
        server, client = value >> 64 & 0xFFFFFFFF, ~value & 0xFFFFFFFF
        return ipaddress.IPv4Address(server), ipaddress.IPv4Address(client)
    if value >> 32 & 0xFFFFFFFF in _ISATAP:
        return (ipaddress.IPv4Address(value & 0xFFFFFFFF),)
    return ()
