"""pcapng: an independent reader finds what was written."""

from __future__ import annotations

import io
import struct
from importlib import import_module
from typing import Any

import pytest

from aiobc9x.trace.pcapng import (
    LINKTYPE_RAW,
    LINKTYPE_UPPER_PDU,
    interface,
    names,
    packet,
    section_header,
    tls_secrets,
)
from tests.clients.servers import CARED_FOR

HEAD = (
    section_header("aiobc9x", "made up")
    + interface(LINKTYPE_UPPER_PDU, "dialogue", "of commands")
    + interface(LINKTYPE_RAW, "sockets", "of packets")
)


def blocks(data: bytes) -> list[Any]:
    """What python-pcapng reads; it has no types."""
    # With CI set, a test that is left out is a failure.
    library = import_module("pcapng") if CARED_FOR else pytest.importorskip("pcapng")
    return list(library.FileScanner(io.BytesIO(data)))


def test_another_reader_understands_it() -> None:
    """Every block, with its options."""
    data = HEAD
    data += packet(0, 1e9 + 0.123456, b"abc", is_outbound=True, comment="why §")
    data += packet(1, 1e9 + 1, b"abcde", size_bytes=50, is_outbound=False)
    data += packet(1, 1e9 + 2, b"")
    data += names({bytes([198, 18, 0, 1]): "a.example", bytes(16): "b.example"})
    section, first, second, *packets, known = blocks(data)
    assert section.options["shb_userappl"] == "aiobc9x"
    assert section.options["opt_comment"] == "made up"
    assert (first.link_type, first.options["if_name"]) == (252, "dialogue")
    assert (second.link_type, second.options["if_description"]) == (101, "of packets")
    assert [each.interface_id for each in packets] == [0, 1, 1]
    assert [each.packet_data for each in packets] == [b"abc", b"abcde", b""]
    assert [each.packet_len for each in packets] == [3, 50, 0]
    assert packets[0].timestamp == pytest.approx(1e9 + 0.123456, abs=1e-6)
    assert packets[0].options["opt_comment"] == "why §"
    assert [each.options.get("epb_flags") is not None for each in packets] == [True, True, False]
    assert [(record["address"], record["names"]) for record in known.records] == [
        ("198.18.0.1", ["a.example"]),
        ("::", ["b.example"]),
    ]


@pytest.mark.parametrize("size", range(6))
def test_blocks_say_their_length_twice(size: int) -> None:
    """In multiples of four, so that a reader can skip what it does not know."""
    data = tls_secrets(b"k" * size) + packet(0, 0.0, b"p" * size, comment="c" * size)
    kinds = []
    while data:
        kind, length = struct.unpack("<II", data[:8])
        assert length % 4 == 0
        assert data[length - 4 : length] == data[4:8]
        kinds.append(kind)
        data = data[length:]
    assert kinds == [10, 6]
