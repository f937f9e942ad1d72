"""Addresses that users give: which are refused, and what is said of them."""

from __future__ import annotations

import pytest

from daftt_core.config import SynthesisConfig
from daftt_core.network import address_problem, is_metadata_service

METADATA = [
    "169.254.169.254",
    "2852039166",
    "0xA9FEA9FE",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.254.170.2",
    "metadata",
    "metadata.google.internal",
    "METADATA.google.internal.",
    "metadata。google.internal",
    "\uff11\uff16\uff19.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
]
METADATA_V6 = [
    "fd00:ec2::254",
    "FD00:EC2:0:0:0:0:0:254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::a9fe:a9fe",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "fe80::1",
]
MALFORMED = [
    "http://[::1",
    "http://[::1]x",
    "http://[1.2.3.4]/",
    "http://",
    "http:///v1",
    "http://host:99999",
    "http://host:0",
    "http://host:port",
    "http://host:8:9",
    "http://a..b",
    f"http://{'a' * 70}",
    "http://%31%36%39.254.169.254",
    "http://[fe80::1%25eth0]",
]
UNCLEAN = [
    "http://host\r\nX-Header: 1",
    "http://host/v1\n",
    "http://host /v1",
    "http://ho\tst",
    "http://host\\@169.254.169.254",
    "http://16\u200b9.254.169.254",
    "http://host/\ud800",
]


@pytest.mark.parametrize("host", [*METADATA, *(f"[{host}]" for host in METADATA_V6)])
@pytest.mark.parametrize("rest", ["", ":80/v1"])
def test_a_metadata_service_is_refused_however_it_is_spelled(host: str, rest: str) -> None:
    assert "metadata service" in address_problem(f"http://{host}{rest}")


@pytest.mark.parametrize("host", ["16\u200b9.254.169.254", "169.254.169\ufe0f.254"])
def test_characters_that_go_unseen_hide_no_metadata_service(host: str) -> None:
    assert is_metadata_service(host)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000/v1",
        "http://127.0.0.1:1",
        "https://[::1]:80/v1",
        "http://10.0.0.1",
        "http://model.team-a.svc.cluster.local:8000/v1",
        "http://metadata-store.mine:80",
        "http://my_server:80",
        "http://münchen.example/",
        "https://hooks.example/a?key=b",
    ],
)
def test_other_addresses_are_taken(url: str) -> None:
    assert address_problem(url) == ""


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_address_is_refused(url: str) -> None:
    assert "with a host, and a port from 1 to 65535" in address_problem(url)


@pytest.mark.parametrize("url", UNCLEAN)
def test_an_address_with_what_cannot_be_seen_is_refused(url: str) -> None:
    assert "no blank, line break, backslash or invisible character" in address_problem(url)


@pytest.mark.parametrize("url", ["http://me:pw@host", "http://me@[::1]", "http://a@b@c"])
def test_an_address_with_a_password_is_refused_without_it(url: str) -> None:
    assert address_problem(url) == "must hold no user and password"


@pytest.mark.parametrize("url", ["", "host:80", "ftp://host", "file:///etc", " http://host"])
def test_an_address_begins_with_its_scheme(url: str) -> None:
    assert address_problem(url) == "must begin with http:// or https://"


@pytest.mark.parametrize(
    "url", ["http://2852039166/v1", "http://[::ffff:169.254.169.254]/", MALFORMED[0], UNCLEAN[0]]
)
def test_the_settings_refuse_such_a_server(url: str) -> None:
    with pytest.raises(ValueError, match=r"server_url must (not )?(be|hold)"):
        SynthesisConfig(engine="server", server_url=url)
