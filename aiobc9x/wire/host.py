"""Read a host, which is an IP address or a name, into one value that is passed on.

Layer: wire. Does no I/O, reads no clock.

A host arrives as text or bytes, from a program, a proxy's client or a bypass rule. It is read
once, where it arrives, into a :class:`Host`. The :class:`Host` has its family, its address and
its form in a command line (§2.2.1), so no other code reads the text again.
"""

from __future__ import annotations

from typing import Final

from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted
from aiobc9x.spec import DOMAIN_NAME_MAX_BYTES, ProtocolType
from aiobc9x.wire.params import IpAddress, ascii_text, ip_address_or_none, quoted, text_bytes

__all__ = ["NAME_MAX_BYTES", "Host", "address", "host", "read_name"]

NAME_MAX_BYTES: Final = 253
"""Longest host name where the note states no limit; RFC 1035 does."""

# IDNA's output, IPv6 with its zone, and underscores, which names of real networks have.
_HOST: Final = lazy_pattern(r"[A-Za-z0-9._:%-]+")
_MORE_THAN_A_NAME: Final = lazy_pattern(r"[:/@\[\]]")
# A URL, or a host with its port: people paste these in place of a host, and the error message
# can say which part to pass.
_LOCATION: Final = lazy_pattern(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:[^/?#@]*@)?"
    r"(?:\[([0-9A-Fa-f:.%]+)\]|([\w.%-]+))(?::([0-9]{0,5}))?(?:[/?#].*)?"
)
_USER: Final = lazy_pattern(r"//[^/?#@]*@")


@slotted(frozen=True)
class Host:
    """A host that has been read.

    Reading never raises, because the module may not be meant: a name that no command line can
    carry may be a good name in this machine's own network. :meth:`check` raises.

    Attributes:
        written: The host as it arrived; bytes outside ASCII are escaped.
        address: The IP address; ``None`` for a name.
        encoded: The form between the quotes of a command line: an address, or a name in ASCII
            (IDNA). ``""`` if no command line can carry the host.
        fault: Why no command line can carry the host; ``""`` if one can.

    """

    written: str
    address: IpAddress | None
    encoded: str
    fault: str = ""

    @classmethod
    def read(
        cls,
        value: str | bytes | Host,
        argument: str = "host",
        max_bytes: int = NAME_MAX_BYTES,
    ) -> Host:
        """Read a host, or return it unchanged if it is a :class:`Host` already. Never raises.

        Args:
            value: The host; bytes are taken as ASCII, other text is encoded with IDNA.
            argument: Name of the argument, for the fault.
            max_bytes: Longest encoded form.

        """
        if isinstance(value, Host):
            return value
        found = ip_address_or_none(_as_text(value).encode("ascii", "replace"))
        return _make(value, found, argument, max_bytes)

    def __str__(self) -> str:
        """See :attr:`text`."""
        return self.text

    @property
    def text(self) -> str:
        """The host for errors and transports: the address, or the name as it arrived."""
        return self.written if self.address is None else self.encoded

    @property
    def family(self) -> ProtocolType | None:
        """The family of the address; ``None`` for a name, which may have several."""
        if self.address is None:
            return None
        return ProtocolType.IPV6 if self.address.version == 6 else ProtocolType.IPV4

    def check(self) -> Host:
        """Return the host itself.

        Raises:
            ValueError: No command line can carry the host; the message says what to pass.

        """
        if self.fault:
            raise ValueError(self.fault)
        return self

    def folded(self) -> Host:
        """Return the host as DNS compares names: in lower case, without the dot at the end."""
        encoded = self.encoded.lower().rstrip(".")
        if self.address is not None or encoded == self.encoded == self.written:
            return self
        if not encoded:  # nothing but dots, or a fault already
            return self if self.fault else Host.read(encoded)
        return Host(self.written.lower().rstrip("."), None, encoded)


def read_name(value: str | bytes) -> Host:
    """Read a host that is known to be no IP address. Never raises."""
    return _make(value, None, "host", NAME_MAX_BYTES)


def _make(value: str | bytes, found: IpAddress | None, argument: str, max_bytes: int) -> Host:
    try:
        encoded = _encode(value, found, argument, max_bytes)
    except ValueError as exc:
        return Host(_as_text(value), None, "", str(exc))
    return Host(_as_text(value), found, encoded)


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    return ascii_text(bytes(value)) if isinstance(value, bytes | bytearray) else repr(value)


def _encode(value: str | bytes, found: IpAddress | None, argument: str, max_bytes: int) -> str:
    """Return what stands between the quotes, or raise ``ValueError``."""
    name = text_bytes(argument, value)
    if found is None:
        _check_alone(argument, _as_text(value))
    # Bytes come from anyio and httpx, which have applied IDNA already.
    if isinstance(value, str) and not value.isascii():
        try:
            name = value.encode("idna")
        except UnicodeError as exc:
            raise ValueError(f"{argument} is no valid host name ({exc}): {value!r}") from exc
    _check_length(argument, len(name), max_bytes)
    text = quoted(argument, name, max_bytes)[1:-1]
    if not _HOST.fullmatch(text):
        raise ValueError(f"{argument} must be a host name or an IP address alone, not {value!r}")
    return text


def _check_length(argument: str, size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        # AT+QIDNSGIP, which resolve() sends, has no limit of its own.
        fix = "shorten it" if max_bytes == NAME_MAX_BYTES else "pass its address, see resolve()"
        raise ValueError(f"{argument} has {size_bytes} bytes, the module takes {max_bytes}; {fix}")


def _check_alone(argument: str, text: str) -> None:
    """Refuse a URL, a host with its port, and brackets; say what to pass in place of them."""
    if not _MORE_THAN_A_NAME.search(text):
        return
    advice = ""
    if match := _LOCATION.fullmatch(text):
        advice = f"; pass {match[1] or match[2]!r}"
        if match[3]:
            advice += f" as the host and {match[3]} as the port"
    # The part before @ may hold a password.
    shown = _USER.sub("//...@", text)
    raise ValueError(
        f"{argument} must be a host name or an IP address alone, not {shown!r}{advice}"
    )


def host(argument: str, value: str | bytes | Host, max_bytes: int = DOMAIN_NAME_MAX_BYTES) -> str:
    """Encode a host in double quotes.

    Args:
        argument: Name of the argument, for the message.
        value: The host, read or not; see :meth:`Host.read`.
        max_bytes: Longest encoded form; 50 for AT+QIOPEN (§2.2.1).

    Raises:
        ValueError: The host is empty, too long, more than a host, or can't be part of a
            command; the message says what to pass.

    """
    encoded = Host.read(value, argument, max_bytes).check().encoded
    _check_length(argument, len(encoded), max_bytes)
    return f'"{encoded}"'


def address(argument: str, value: str | bytes, max_bytes: int) -> str:
    """Encode an IP address in double quotes.

    Raises:
        ValueError: The value is no IPv4 or IPv6 address.

    """
    read = Host.read(value, argument, max_bytes).check()
    if read.address is None:
        raise ValueError(f"{argument} must be an IP address, not {value!r}")
    return f'"{read.encoded}"'
