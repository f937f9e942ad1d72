"""Addresses that users give: well formed, without secrets, and not those of metadata services.

A cloud's metadata service gives out the machine's credentials to every process on the machine. An
address in a setting must not make a pod fetch them (server-side request forgery), in whatever way
it is spelled.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",  # link-local, which all large clouds use for theirs
        "fe80::/10",
        "fd00:ec2::/32",  # AWS
        "fd20:ce::254",  # Google Cloud
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle Cloud
    )
)
_NAMES = {
    "metadata",  # what Google Cloud's machines have among their own names
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata.tencentyun.com",
}
_NETLOC = re.compile(r"(?:[^@]*@)?(?:\[[^\[\]]*\]|[^\[\]:]*)(?::\d*)?")
_EMBEDDING = tuple(  # IPv6 networks whose addresses end with an IPv4 address (RFC 4291, RFC 6052)
    ipaddress.IPv6Network(network) for network in ("::/96", "::ffff:0:0/96", "64:ff9b::/96")
)


def address_problem(url: str) -> str:
    """Return the problem of an http(s) address, without quoting it; empty if there is none.

    Args:
        url: The address. It may have a query, where keys of webhooks stand.
    """
    if not url.startswith(("http://", "https://")):
        return "must begin with http:// or https://"
    if not url.isprintable() or " " in url or "\\" in url:
        return "must hold no blank, line break, backslash or invisible character"
    parts = _split(url)
    if parts is None or not parts.hostname:
        return "must be http:// or https:// with a host, and a port from 1 to 65535 if any"
    if "@" in parts.netloc:
        return "must hold no user and password"
    if is_metadata_service(parts.hostname):
        return "must not be the address of a cloud's metadata service, which gives out credentials"
    return ""


def _split(url: str) -> SplitResult | None:
    """Return the parts of a URL; None where it is malformed."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        if parts.port == 0 or "%" in host or not _NETLOC.fullmatch(parts.netloc):
            return None
        if "[" in parts.netloc:
            ipaddress.IPv6Address(host)
        else:
            host.encode("idna")
    except ValueError:
        return None
    return parts


def is_metadata_service(host: str) -> bool:
    """Return whether a host is a cloud's metadata service, in whatever way it is spelled.

    Args:
        host: A name, an IPv6 address, or an IPv4 address in any form that the system's resolver
            takes: one to four numbers, decimal, octal or hexadecimal.
    """
    name = host.rstrip(".").lower()
    with suppress(UnicodeError):  # other scripts' digits and dots, and invisible characters
        name = name.encode("idna").decode().rstrip(".").lower()
    address = _address(name)
    if address is None:
        return name in _NAMES
    return any(
        candidate in network
        for candidate in (address, *_embedded(address))
        for network in _NETWORKS
        if candidate.version == network.version
    )


def _address(host: str) -> _Ip | None:
    try:
        return ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _embedded(address: _Ip) -> list[_Ip]:
    """Return the IPv4 addresses that an IPv6 address leads to through some gateway."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    embedded: list[_Ip] = [address.sixtofour] if address.sixtofour else []
    embedded += address.teredo or ()
    if any(address in network for network in _EMBEDDING):
        embedded.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return embedded
