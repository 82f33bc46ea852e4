"""Names, pages and proxies: what is not ours is not taken, and nobody names their own address."""

import pytest

from api.auth.doors import Doors, doors_of, subscriber

HERE = "127.0.0.1:8080"


def doors(bound: str = "127.0.0.1", **listed: list[str]) -> Doors:
    return doors_of(
        bound,
        hosts=listed.get("hosts", []),
        origins=listed.get("origins", []),
        proxies=listed.get("proxies", []),
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]:8080"])
def test_on_loopback_its_own_names_are_taken(host: str) -> None:
    assert doors().is_host(host)


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.1"])
def test_on_loopback_a_name_that_was_pointed_here_is_not(host: str) -> None:
    assert not doors().is_host(host)
    assert doors(hosts=["maps.example"]).is_host("maps.example:443")


def test_beyond_loopback_names_are_judged_where_some_are_listed() -> None:
    assert doors("0.0.0.0").is_host("anything")
    assert not doors("0.0.0.0", hosts=["maps.example"]).is_host("anything")


@pytest.mark.parametrize(
    ("origin", "ours"),
    [
        (None, True),
        ("http://127.0.0.1:8080", True),
        ("https://app.example", True),
        ("HTTPS://APP.EXAMPLE", True),
        ("http://127.0.0.1:8081", False),
        ("http://127.0.0.1", False),
        ("https://app.example.evil", False),
        ("null", False),
        ("", False),
        ("file://", False),
        ("http://[", False),
        ("http://a]b", False),
    ],
)
def test_pages_of_this_origin_and_listed_ones(origin: str | None, ours: bool) -> None:
    assert doors(origins=["https://app.example"]).is_origin(origin, HERE) is ours


def test_an_address_is_that_of_the_peer_unless_a_proxy_of_ours_says_more() -> None:
    behind = doors(proxies=["10.0.0.0/8"])
    assert doors().address("203.0.113.9", "1.2.3.4") == "203.0.113.9"
    assert behind.address("203.0.113.9", "1.2.3.4") == "203.0.113.9"
    assert behind.address("10.0.0.1", "1.2.3.4") == "1.2.3.4"
    # What stands to the left of the last hop that is not ours was said by the client itself.
    assert behind.address("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2") == "1.2.3.4"
    assert behind.address("10.0.0.1", "nonsense") == "10.0.0.1"
    assert behind.address("10.0.0.1", None) == "10.0.0.1"


@pytest.mark.parametrize(
    "wrong", [{"origins": ["app.example"]}, {"origins": ["https://a/b"]}, {"proxies": ["10.0.0.0/99"]}]
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match=r"."):
        doors("127.0.0.1", **wrong)


def test_an_address_of_the_older_kind_is_the_same_on_a_socket_that_listens_for_both() -> None:
    behind = doors(proxies=["10.0.0.0/8"])
    assert behind.address("::ffff:203.0.113.9", None) == "203.0.113.9"
    assert behind.address("::ffff:10.0.0.1", "::ffff:1.2.3.4") == "1.2.3.4"


def test_a_customer_of_a_network_has_one_address_of_ipv4_and_2_to_the_64_of_ipv6() -> None:
    assert subscriber("2001:db8:1:2::9") == subscriber("2001:db8:1:2:ffff::") == "2001:db8:1:2::/64"
    assert subscriber("2001:db8:1:3::9") != subscriber("2001:db8:1:2::9")
    assert subscriber("203.0.113.9") != subscriber("203.0.113.10")
    assert subscriber("testclient") == "testclient"
