"""masking: what people read of the dialogue holds no secrets and no payloads."""

from collections.abc import Iterator
from typing import Any

import pytest

from aiobc9x import masking
from aiobc9x.masking import masked_command, masked_secrets, names_secret, shown_line
from aiobc9x.wire import signalling, urcs
from aiobc9x.wire.commands import module, radio, tcpip
from aiobc9x.wire.commands.base import Command


class TestMaskedCommand:
    """What goes to the module, up to what is nobody's business."""

    @pytest.mark.parametrize(
        ("line", "shown"),
        [
            ('AT+CPIN="1234"', "AT+CPIN=..."),
            ("AT+CPIN=1234", "AT+CPIN=..."),
            ('at+cpin="12345678","1234"', "at+cpin=..."),
            ('AT+CPIN = "1234"', "AT+CPIN =..."),
            ('AT+CPIN="1234', "AT+CPIN=..."),
            ('AT+CLCK="SC",1,"1234"', 'AT+CLCK="SC",1,...'),
            ('AT+CPWD="SC","1234","5678"', 'AT+CPWD="SC",...'),
            ('AT+CGAUTH=1,1,"user","s3cret"', "AT+CGAUTH=1,1,..."),
            ('AT+QICSGP=1,1,"apn","user","s3cret",1', 'AT+QICSGP=1,1,"apn",...'),
            ('AT+QICSGP=1,1,"apn,"user","s3cret",1', 'AT+QICSGP=1,1,"apn,...'),
            ('AT+QCGDEFCONT="IP","apn","user","s3cret"', 'AT+QCGDEFCONT="IP","apn",...'),
            ("AT+NPIN=0,1234", "AT+NPIN=0,..."),
            ('AT+QISEND=0,6,"secret"', "AT+QISEND=0,6,..."),
            ('AT+QISENDEX=0,2,"3031"', "AT+QISENDEX=0,2,..."),
            ('AT+QISEND=0,20,"AT+CPIN=1234,AT+CSQ"', "AT+QISEND=0,20,..."),
        ],
    )
    def test_secrets_and_payloads(self, line: str, shown: str) -> None:
        """Spaces, small letters and a missing quote don't help them out."""
        assert masked_command(line) == shown

    @pytest.mark.parametrize(
        ("line", "shown"),
        [
            ("AT+CSQ;+CPIN=1234", "AT+CSQ;+CPIN=..."),
            ('AT+CPWD="SC";+CPIN=1234', 'AT+CPWD="SC";+CPIN=...'),
            ('AT+CLCK="SC",2;+CGAUTH=1,1,"u","p"', 'AT+CLCK="SC",2;+CGAUTH=1,1,...'),
            ("AT+CPIN=1234;+CSQ", "AT+CPIN=..."),
        ],
    )
    def test_compound_lines(self, line: str, shown: str) -> None:
        """A secret may stand behind any semicolon; nothing is shown behind the first."""
        assert masked_command(line) == shown

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "AT",
            "AT+CPIN?",
            "AT+CPIN=?",
            'AT+CLCK="SC",2',
            "AT+CGAUTH?",
            "AT+CGAUTH=1",
            "AT+QICSGP=1",
            "AT+QISEND=0,6",
            'AT+QIOPEN=1,0,"TCP","example.com",80,0,0,0',
            'AT+CGDCONT=1,"IP","internet"',
        ],
    )
    def test_the_rest_is_shown_as_it_is(self, line: str) -> None:
        """Questions about secrets are none."""
        assert masked_command(line) == line


class TestShownLine:
    """What comes from the module, as far as it can't be somebody's payload."""

    @pytest.mark.parametrize(
        "line",
        [
            b"OK",
            b"SEND FAIL",
            b"> ",
            b"RDY",
            b"+CME ERROR: SIM busy",
            b"+CSQ: 20,99",
            b"+QIRD: 0",
            b"+QIRD: 6,0",
            b'+QIURC: "recv",0',
            b'+QIURC: "recv",0,6',
            b'+QIURC: "recv",0,"buff full"',
            b'+QIURC: "closed",0',
            b'+QIURC: "incoming",1,0,"10.0.0.1",80',
            b"AT",
            b"AT+CSQ",
            b"at+cgatt?",
        ],
    )
    def test_results_and_known_names_are_shown_whole(self, line: bytes) -> None:
        """They are what a dialogue is read for."""
        assert shown_line(line) == line.decode()

    @pytest.mark.parametrize(
        ("line", "shown"),
        [
            (b"secret", "(6 bytes)"),
            (b"OK secret", "(9 bytes)"),
            (b"\x00\xff", "(2 bytes)"),
            (b"+QIRD: 6,0,secret", "+QIRD: 6,0,(6 bytes)"),
            (b"+QIRD: 6,secret", "+QIRD: 6,(6 bytes)"),
            (b'+QIURC: "recv",0,6,secret', '+QIURC: "recv",0,6,(6 bytes)'),
            (b'+QIURC: "recv",0,secret', '+QIURC: "recv",0,(6 bytes)'),
        ],
    )
    def test_payloads_are_counted(self, line: bytes, shown: str) -> None:
        """With and without the lengths that a header may have (§2.2.11)."""
        assert shown_line(line) == shown

    @pytest.mark.parametrize(
        ("line", "shown"),
        [
            (b'+QIUR: "recv",0,15,secret', "+QIUR: (25 bytes)"),
            (b'+QIURC: "rcv",0,15,secret', "+QIURC: (25 bytes)"),
            (b'+QIURC: ecv",0,15,secret', "+QIURC: (24 bytes)"),
            (b'C: "recv",0,15,secret', "(21 bytes)"),
            (b"+QIRD: x6,0,secret", "+QIRD: (18 bytes)"),
            (b'+CSQ: 20,99+QIURC: "recv",0,6,secret', "+CSQ: (36 bytes)"),
            (b'+QIURC: "closed",0+QIURC: "recv",1,6,secret', "+QIURC: (43 bytes)"),
            (b"+VENDOR: secret", "+VENDOR: (15 bytes)"),
            (b'AT+CPIN="1234"', "AT+CPIN= (14 bytes)"),
            (b'AT+QISEND=0,6,"secret"', "AT+QISEND= (22 bytes)"),
        ],
    )
    def test_of_what_lost_bytes_or_is_unknown_the_name_remains(
        self, line: bytes, shown: str
    ) -> None:
        """A header that lost a byte has its payload behind it; an echo has secrets."""
        assert shown_line(line) == shown

    def test_a_long_line_is_cut(self) -> None:
        """A message is to be read."""
        assert shown_line(b"+COPS: " + b"x" * 200) == f"+COPS: {'x' * 153}... (207 bytes)"


def kinds(root: type[Any]) -> Iterator[type[Any]]:
    """All classes below one (``Any``: the first is abstract)."""
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


def test_what_the_package_reads_is_known() -> None:
    """A new command or URC is shown in logs, or left out here on purpose."""
    assert all((tcpip, module, radio))  # whose commands are looked for
    prefixes = {kind.prefix for kind in kinds(Command) if kind.__module__.startswith("aiobc9x")}
    prefixes |= {name + b":" for name in (*urcs._PREFIXES, *signalling.PREFIXES)}
    names = {prefix[1:-1].decode() for prefix in prefixes if prefix}
    assert names - masking.KNOWN_NAMES == {"QIRD", "QIURC"}


class TestSecretsAlone:
    """What a trace leaves out although it has every payload."""

    @pytest.mark.parametrize(
        ("line", "shown"),
        [
            ('AT+CPIN="1234"\r', "AT+CPIN=..."),
            ('AT+CGAUTH=1,1,"user","s3cret"', "AT+CGAUTH=1,1,..."),
            ('AT+QISEND=0,6,"secret"\r', 'AT+QISEND=0,6,"secret"\r'),
            ('AT+QISEND=0,12,"AT+CPIN=1234"\r', 'AT+QISEND=0,12,"AT+CPIN=1234"\r'),
            ('AT+QISEND=0,2,"hi";+CPIN=1234', 'AT+QISEND=0,2,"hi";+CPIN=...'),
            ('AT+QISEND=0,9,"+CPIN=1234"', 'AT+QISEND=0,9,"+CPIN=...'),
        ],
    )
    def test_masked_secrets(self, line: str, shown: str) -> None:
        """A payload stays, unless it is no plain send of the length that it says."""
        assert masked_secrets(line) == shown

    @pytest.mark.parametrize("line", ["AT+CPIN?", "AT+CPIN=1234", "at+clck=?", "AT+CSQ;+CGAUTH?"])
    def test_lines_that_name_a_secret(self, line: str) -> None:
        """In any form: the answer to a question may be the secret."""
        assert names_secret(line)

    @pytest.mark.parametrize(
        "line", ["AT", "AT+CPINR", "AT+QISEND=0,3", 'AT+QISEND=0,12,"AT+CPIN=1234"\r']
    )
    def test_lines_that_name_none(self, line: str) -> None:
        """Nor does the payload of a send."""
        assert not names_secret(line)

    def test_a_secret_behind_a_line_whose_end_is_lost(self) -> None:
        """The name at the front does not vouch for a command in the middle."""
        assert shown_line(b'+CPIN: SIM PINAT+CPIN="1234"') == "+CPIN: SIM PINAT+CPIN=..."
