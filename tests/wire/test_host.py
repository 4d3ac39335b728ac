"""Host: how hosts are written into commands, then what reading one tells."""

import ipaddress
import re
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.spec import ProtocolType
from aiobc9x.wire.commands.tcpip import Qiopen
from aiobc9x.wire.host import NAME_MAX_BYTES, Host, address, host, read_name
from tests.wire.lines import EVIL, is_one_clean_line


class TestHost:
    """§2.2.1, as a command takes it: an address, or a domain name of at most 50 bytes."""

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("220.18.39.22", '"220.18.39.22"'),
            (b"sh.quectel.com", '"sh.quectel.com"'),
            ("2001:db8::1", '"2001:db8::1"'),
            ("my_host-1.example.", '"my_host-1.example."'),
            ("bücher.example", '"xn--bcher-kva.example"'),
            ("a" * 50, '"' + "a" * 50 + '"'),
        ],
    )
    def test_hosts_in_all_spellings(self, value: str | bytes, text: str) -> None:
        """Names, addresses, bytes; names outside ASCII are encoded with IDNA."""
        assert host("host", value) == text

    def test_a_long_name_points_to_resolve(self) -> None:
        """51 bytes are too many for AT+QIOPEN, and the message says what to do."""
        with pytest.raises(ValueError, match=r"^host has 51 bytes.*50; pass its address.*resolve"):
            host("host", "a" * 51)

    def test_where_the_note_has_no_limit_that_of_dns_holds(self) -> None:
        """Longer names can be looked up, up to what a name may have."""
        assert host("hostname", "a" * 60, NAME_MAX_BYTES) == '"' + "a" * 60 + '"'
        with pytest.raises(ValueError, match=r"^hostname has 254 bytes.*shorten it$"):
            host("hostname", "a" * 254, NAME_MAX_BYTES)

    @pytest.mark.parametrize(
        "value", ["http://example.com", "a b", "a,b", "[::1]", "a\\b", "host:80/path"]
    )
    def test_more_than_a_host_is_refused(self, value: str) -> None:
        """A URL or a list is no host."""
        with pytest.raises(ValueError, match=r"^host must be a host name or an IP address alone"):
            host("host", value)

    @pytest.mark.parametrize(
        ("value", "advice"),
        [
            ("http://example.com", "pass 'example.com'"),
            ("https://example.com/a?b#c", "pass 'example.com'"),
            (
                "mqtt://user:secret@broker.example:1883/",
                "pass 'broker.example' as the host and 1883 as the port",
            ),
            ("example.com:80", "pass 'example.com' as the host and 80 as the port"),
            (b"example.com:80", "pass 'example.com' as the host and 80 as the port"),
            ("bücher.example:80", "pass 'bücher.example' as the host and 80 as the port"),
            ("220.18.39.22:8062", "pass '220.18.39.22' as the host and 8062 as the port"),
            ("[2001:db8::1]", "pass '2001:db8::1'"),
            ("coap://[::1]:5683/", "pass '::1' as the host and 5683 as the port"),
            ("example.com/path", "pass 'example.com'"),
            ("example.com:", "pass 'example.com'"),
        ],
    )
    def test_what_to_pass_in_place_of_a_location(self, value: str | bytes, advice: str) -> None:
        """People paste URLs, and a host with its port: the message has both apart."""
        with pytest.raises(ValueError, match=rf"alone, not '.*'; {re.escape(advice)}$"):
            host("host", value, NAME_MAX_BYTES)

    def test_a_password_in_a_url_is_not_shown(self) -> None:
        """Messages end up in logs."""
        with pytest.raises(ValueError, match=r"not 'mqtt://\.\.\.@broker:1883'; pass 'broker'"):
            host("host", "mqtt://user:secret@broker:1883")

    @pytest.mark.parametrize("value", ["a:b", "::1::", "//", "x@", "[]:80", "host:port"])
    def test_what_nobody_can_guess(self, value: str) -> None:
        """Without a host to be seen there is no advice."""
        with pytest.raises(ValueError, match=rf"alone, not '{re.escape(value)}'$"):
            host("host", value)

    def test_a_quote_that_idna_makes_is_refused(self) -> None:
        """A full-width quotation mark becomes a plain one when encoded."""
        with pytest.raises(ValueError, match=r"^host holds a double quote"):
            host("host", "a＂b")

    def test_a_name_that_idna_refuses(self) -> None:
        """A label that has no encoding is named."""
        with pytest.raises(ValueError, match=r"^host is no valid host name"):
            host("host", "é" * 70)

    def test_bytes_must_be_ascii(self) -> None:
        """Bytes are never encoded."""
        with pytest.raises(ValueError, match=r"^host holds"):
            host("host", "bücher".encode())

    @given(value=st.one_of(EVIL, st.binary(max_size=60)))
    def test_no_host_adds_a_line(self, value: str | bytes) -> None:
        """Whatever is passed, it is refused, or stays inside its quotes."""
        text = refusal = ""
        try:
            text = host("host", value)
        except ValueError as exc:
            refusal = str(exc)
        assert refusal.startswith("host ") or text.count('"') == 2
        assert is_one_clean_line(text.encode() + b"\r")


class TestAddress:
    """§2.2.13: DNS servers are addresses."""

    @pytest.mark.parametrize("value", ["220.18.23.22", b"2001:db8::1"])
    def test_addresses_are_quoted(self, value: str | bytes) -> None:
        """IPv4 and IPv6, as text or bytes."""
        assert (
            address("primary", value, 50)
            == f'"{value if isinstance(value, str) else value.decode()}"'
        )

    def test_a_name_is_refused(self) -> None:
        """The module would have to know a DNS server to look up its DNS server."""
        with pytest.raises(ValueError, match=r"^primary must be an IP address, not 'dns.example'"):
            address("primary", "dns.example", 50)


class TestReading:
    """A host is read once; what was read answers every question about it."""

    @pytest.mark.parametrize(
        ("value", "text", "encoded", "family"),
        [
            ("192.0.2.1", "192.0.2.1", "192.0.2.1", ProtocolType.IPV4),
            (b"192.0.2.1", "192.0.2.1", "192.0.2.1", ProtocolType.IPV4),
            ("2001:DB8::1", "2001:DB8::1", "2001:DB8::1", ProtocolType.IPV6),
            ("fe80::1%eth0", "fe80::1%eth0", "fe80::1%eth0", ProtocolType.IPV6),
            ("Broker.Example.", "Broker.Example.", "Broker.Example.", None),
            (b"broker.example", "broker.example", "broker.example", None),
            ("bücher.example", "bücher.example", "xn--bcher-kva.example", None),
            ("127.1", "127.1", "127.1", None),
        ],
    )
    def test_what_is_read(
        self, value: str | bytes, text: str, encoded: str, family: ProtocolType | None
    ) -> None:
        """Errors name a host as it came, commands carry it in ASCII, an address has a family."""
        read = Host.read(value)
        assert (read.text, read.encoded, read.family, read.fault) == (text, encoded, family, "")
        assert (str(read), read.check()) == (text, read)
        assert (read.address is None) is (family is None)

    def test_27007_spells_ipv6_as_sixteen_numbers(self) -> None:
        """Firmware prints addresses so, and users copy them."""
        read = Host.read("32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1")
        assert read.address == ipaddress.ip_address("2001:db8::1")

    def test_what_was_read_is_not_read_again(self) -> None:
        """Neither by a border that it passes, nor by a command."""
        read = Host.read("broker.example")
        with patch("aiobc9x.wire.host._make", side_effect=AssertionError):
            assert Host.read(read) is read
            line = Qiopen(1, 0, "TCP", read, 80).encode()
        assert b'"broker.example"' in line

    def test_a_host_that_was_read_may_still_be_too_long_for_a_command(self) -> None:
        """AT+QIOPEN takes 50 bytes, others take more."""
        read = Host.read("a" * 51)
        assert host("host", read, NAME_MAX_BYTES) == f'"{"a" * 51}"'
        with pytest.raises(ValueError, match=r"^host has 51 bytes.*50; pass its address"):
            host("host", read)

    @pytest.mark.parametrize(
        ("value", "written", "fault"),
        [
            ("", "", "host is empty; give at least one character"),
            ("a b", "a b", "host must be a host name or an IP address alone, not 'a b'"),
            ("a" * 254, "a" * 254, "host has 254 bytes, the module takes 253; shorten it"),
            (b"\xff", "\\xff", "host holds a double quote, control or non-ASCII"),
            (5, "5", "host must be str or bytes, not int"),
        ],
    )
    def test_reading_never_fails(self, value: str | bytes, written: str, fault: str) -> None:
        """A host that no command can carry may be one of another network: a check complains."""
        read = Host.read(value)
        assert (read.text, read.encoded, read.address) == (written, "", None)
        with pytest.raises(ValueError, match=re.escape(fault)):
            read.check()
        with pytest.raises(ValueError, match=re.escape(fault)):
            host("host", read)

    def test_a_name_may_be_known_to_be_none_of_the_addresses(self) -> None:
        """Whoever knows more spellings of addresses has looked already."""
        assert read_name("broker.example") == Host.read("broker.example")
        assert read_name("a:b").fault == Host.read("a:b").fault != ""

    @pytest.mark.parametrize(
        ("value", "folded"),
        [
            ("Broker.Example.", "broker.example"),
            ("broker.example", "broker.example"),
            ("BÜCHER.example", "bücher.example"),
            ("FE80::1", "FE80::1"),
            ("a b", "a b"),
        ],
    )
    def test_names_are_compared_as_dns_does(self, value: str, folded: str) -> None:
        """Case and the last dot mean nothing; addresses and what is neither stay."""
        read = Host.read(value).folded()
        assert read.text == folded
        assert read.encoded == Host.read(folded).encoded

    def test_dots_alone_are_no_name(self) -> None:
        """Without its dots nothing is left of the root."""
        assert Host.read(".").folded().fault.startswith("host is empty")

    @given(value=st.one_of(EVIL, st.binary(max_size=60)))
    def test_what_has_no_fault_is_a_clean_parameter(self, value: str | bytes) -> None:
        """Either a fault, or a form that stays inside its quotes."""
        read = Host.read(value)
        assert bool(read.fault) is not bool(read.encoded)
        assert is_one_clean_line(f"AT+X={read.encoded}\r".encode())
