"""Addresses and servers of WebRTC as the operator writes them."""

import pytest

from serving.http.request_limits import VisitorError
from serving.live.ice_servers import check_address, check_ice_servers, read_turn_login


def test_servers_are_one_of_each_kind():
    good = ["stun:stun.example.org:3478", "turns:turn.example.org?transport=tcp"]
    assert check_ice_servers(good) == tuple(good)
    assert check_ice_servers([]) == ()
    for bad in (
        ["http://example.org"],
        ["stun:"],
        ["turn:user:word@example.org"],
        ["stun:a?transport=udp"],
        ["stun:a", "stun:b"],
        ["turn:a", "turns:b"],
    ):
        with pytest.raises(VisitorError, match="--live-ice-server"):
            check_ice_servers(bad)


def test_an_address_is_an_address():
    assert (check_address(""), check_address("192.0.2.1"), check_address("::1")) == ("", "192.0.2.1", "::1")
    with pytest.raises(VisitorError, match="--live-address localhost is no IP address"):
        check_address("localhost")


def test_a_login_is_its_owners_alone(tmp_path):
    file = tmp_path / "turn"
    file.write_text("anna:a:word\n")
    file.chmod(0o600)
    assert read_turn_login(file) == ("anna", "a:word")
    file.write_text("anna")
    with pytest.raises(VisitorError, match="holds no NAME:PASSWORD"):
        read_turn_login(file)
    file.chmod(0o644)
    with pytest.raises(VisitorError, match="chmod 600"):
        read_turn_login(file)
