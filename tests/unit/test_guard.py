"""Which URLs and addresses workers may be sent to by clients."""

from __future__ import annotations

import ipaddress

import pytest

from shared.allowed_hosts import allowed_host
from worker.guard import Guard, Refused, is_public

# IANA IPv4 and IPv6 Special-Purpose Address Registries, every entry, and what is not in them but leads astray:
# (network, whether all of it is globally reachable and in use)
SPECIAL = [
    ("0.0.0.0/8", False),
    ("0.0.0.0/32", False),
    ("10.0.0.0/8", False),
    ("100.64.0.0/10", False),
    ("127.0.0.0/8", False),
    ("169.254.0.0/16", False),
    ("172.16.0.0/12", False),
    ("192.0.0.0/24", False),
    ("192.0.0.0/29", False),
    ("192.0.0.8/32", False),
    ("192.0.0.9/32", False),
    ("192.0.0.10/32", False),
    ("192.0.0.170/32", False),
    ("192.0.0.171/32", False),
    ("192.0.2.0/24", False),
    ("192.31.196.0/24", True),
    ("192.52.193.0/24", True),
    ("192.88.99.0/24", False),
    ("192.168.0.0/16", False),
    ("192.175.48.0/24", True),
    ("198.18.0.0/15", False),
    ("198.51.100.0/24", False),
    ("203.0.113.0/24", False),
    ("224.0.0.0/4", False),
    ("240.0.0.0/4", False),
    ("255.255.255.255/32", False),
    ("::1/128", False),
    ("::/128", False),
    ("::127.0.0.1/128", False),
    ("::8.8.8.8/128", False),
    ("::ffff:10.0.0.0/104", False),
    ("::ffff:127.0.0.0/104", False),
    ("::ffff:169.254.0.0/112", False),
    ("::ffff:100.64.0.0/106", False),
    ("::ffff:8.8.8.8/128", True),
    ("64:ff9b::/96", False),
    ("64:ff9b::808:808/128", False),
    ("64:ff9b:1::/48", False),
    ("100::/64", False),
    ("100:0:0:1::/64", False),
    ("2001::/23", False),
    ("2001::/32", False),
    ("2001:1::1/128", False),
    ("2001:1::2/128", False),
    ("2001:1::3/128", False),
    ("2001:2::/48", False),
    ("2001:3::/32", False),
    ("2001:4:112::/48", False),
    ("2001:10::/28", False),
    ("2001:20::/28", False),
    ("2001:30::/28", False),
    ("2001:db8::/32", False),
    ("2002::/16", False),
    ("2002:808:808::/48", False),
    ("2620:4f:8000::/48", True),
    ("3fff::/20", False),
    ("5f00::/16", False),
    ("fc00::/7", False),
    ("fd00:ec2::254/128", False),
    ("fe80::/10", False),
    ("fec0::/10", False),
    ("ff00::/8", False),
    ("4000::/2", False),
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.0", "100.128.0.0", "192.0.1.0", "223.255.255.255"]
PUBLIC_6 = ["2606:4700:4700::1111", "2001:200::1", "2a00:1450:4001:82a::200e", "2003::1", "2600::1"]


@pytest.mark.parametrize(("network", "expected"), SPECIAL)
def test_of_the_special_ranges_only_the_globally_reachable_are_public(network: str, expected: bool) -> None:
    addresses = ipaddress.ip_network(network)
    middle = addresses[addresses.num_addresses // 2]
    assert {is_public(address) for address in (addresses[0], middle, addresses[-1])} == {expected}


@pytest.mark.parametrize("address", PUBLIC + PUBLIC_6)
def test_what_lies_beside_them_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_an_address_with_a_zone_is_of_one_link_and_not_public() -> None:
    assert not is_public(ipaddress.ip_address("2606:4700:4700::1111%eth0"))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a",
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:image/png;base64,AA==",
        "//example.com/a",
        "http://",
        "http:///a",
        "http://:80/",
        "",
        "http://exa mple.com/",
        "http://example.com/a b",
        "http://example.com/\r\nx: y",
        "http://example.com\\@127.0.0.1/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:http/",
        # a user, which hides what the host is
        "http://example.com@127.0.0.1/",
        "http://example.com:80@127.0.0.1/",
        "http://ann:secret@example.com/",
        # IPv4 in the spellings of inet_aton
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://127.0.0.1./",
        "http://127.0.0.0x1/",
        "http://134744072/",  # 8.8.8.8
        "http://1.2.3.4.5/",
        "http://127%2e0%2e0%2e1/",
        # digits and dots that become others in IDNA
        "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
        "http://127\u30020\u30020\u30021/",
        "http://\u246b7.0.0.1/",
        # addresses as such
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.100.100.200/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:7f00:1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[2606:4700:4700::1111%25eth0]/",
        # ports
        "http://8.8.8.8:8080/",
        "http://8.8.8.8:22/",
        "http://[2606:4700:4700::1111]:6379/",
    ],
)
def test_a_url_that_may_not_be_fetched_is_refused_before_anything_is_looked_up(url: str) -> None:
    with pytest.raises(Refused):
        Guard().parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a?b=c%2Fd",
        "https://example.com:443/a",
        "https://EXAMPLE.com:80",
        "HTTPS://example.com/",
        "https://8.8.8.8/a.png",
        "https://[2606:4700:4700::1111]/",
        "https://bücher.example/ä",
        "https://a_b.example-1.com./",
    ],
)
def test_other_urls_pass(url: str) -> None:
    Guard().parse(url)


def test_what_is_written_is_what_is_sent() -> None:
    url = "https://bucket.example.com/a%7Eb%2f?X-Signature=a%2Fb+c=="
    assert str(Guard().parse(url)) == url


async def answers(*addresses: str) -> list[str]:
    return list(addresses)


@pytest.mark.parametrize(
    ("found", "allowed"),
    [
        (["8.8.8.8"], True),
        (["8.8.8.8", "2606:4700:4700::1111"], True),
        (["127.0.0.1"], False),
        (["8.8.8.8", "10.0.0.1"], False),
        (["fe80::1%2"], False),
    ],
)
async def test_a_name_is_refused_when_one_of_its_addresses_is_not_public(found: list[str], allowed: bool) -> None:
    guard = Guard(lookup=lambda *_: answers(*found))
    if allowed:
        assert await guard.addresses("example.com", 443) == found
    else:
        with pytest.raises(Refused):
            await guard.addresses("example.com", 443)


async def test_the_systems_own_look_up_is_guarded_too() -> None:
    guard = Guard()
    with pytest.raises(Refused):
        await guard.addresses("localhost", 80)
    guard.close()


@pytest.mark.parametrize("host", ["a..example", f"{'a' * 64}.example"])
async def test_a_name_that_no_name_server_can_be_asked_for_is_not_known(host: str) -> None:
    with pytest.raises(OSError, match="no name"):
        await Guard().addresses(host, 443)


@pytest.mark.parametrize(
    ("entry", "host", "port", "address", "allowed"),
    [
        ("media.internal", "media.internal", 80, "10.0.0.1", True),
        ("media.internal", "MEDIA.internal", 443, "10.0.0.1", True),
        ("media.internal", "media.internal", 8080, "10.0.0.1", False),
        ("media.internal", "other.internal", 80, "10.0.0.1", False),
        ("media.internal", "x.media.internal", 80, "10.0.0.1", False),
        ("media.internal:9000", "media.internal", 9000, "10.0.0.1", True),
        ("media.internal:9000", "media.internal", 80, "10.0.0.1", False),
        ("media.internal:9000", "media.internal", 9001, "10.0.0.1", False),
        ("10.1.0.0/16", "any.internal", 80, "10.1.2.3", True),
        ("10.1.0.0/16", "any.internal", 80, "10.2.2.3", False),
        ("10.1.0.0/16", "any.internal", 8080, "10.1.2.3", False),
        ("10.1.0.0/16:8080", "any.internal", 8080, "10.1.2.3", True),
        ("10.1.2.3", "any.internal", 443, "10.1.2.3", True),
        ("10.1.2.3:9000", "any.internal", 9000, "10.1.2.3", True),
        ("fd00::/8", "any.internal", 443, "fd00::1", True),
        ("[fd00::1]:9000", "any.internal", 9000, "fd00::1", True),
        ("[fd00::1]:9000", "any.internal", 9000, "fd00::2", False),
        ("8.8.8.8:8080", "dns.google", 8080, "8.8.8.8", True),
    ],
)
async def test_an_operator_may_allow_hosts_addresses_and_ports(
    entry: str, host: str, port: int, address: str, allowed: bool
) -> None:
    guard = Guard([allowed_host(entry)], lookup=lambda *_: answers(address))
    if allowed:
        assert await guard.addresses(host, port) == [address]
    else:
        with pytest.raises(Refused):
            await guard.addresses(host, port)


@pytest.mark.parametrize(
    "entry",
    ["", ":80", "a b", "http://a", "a/b", "10.0.0.0/33", "10.0.0.1/8", "a:0", "a:65536", "a:b", "127.1", "[a]", "*.a"],
)
def test_what_is_neither_host_nor_address_is_no_entry(entry: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its message is the caller's to write
        allowed_host(entry)
