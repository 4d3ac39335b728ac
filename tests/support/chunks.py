"""Ways to cut bytes into chunks, as a serial line does."""

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import strategies as st


def cut(data: bytes, edges: Iterable[int]) -> list[bytes]:
    """Cut ``data`` at the offsets; those outside it make no cut."""
    inside = sorted({edge for edge in edges if 0 < edge < len(data)})
    return [data[a:b] for a, b in pairwise([0, *inside, len(data)])]


def bytewise(data: bytes) -> list[bytes]:
    """Cut ``data`` into single bytes."""
    return cut(data, range(len(data)))


def pieces(data: bytes, size_bytes: int) -> list[bytes]:
    """Cut ``data`` into pieces of one size; the last may be shorter."""
    return cut(data, range(0, len(data), size_bytes))


def chunkings(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """Draw a way to cut ``data``: whole, byte by byte, evenly, or anywhere."""
    anywhere = st.sets(st.integers(1, max(1, len(data) - 1)), max_size=12)
    return st.one_of(
        st.just([data]),
        st.just(bytewise(data)),
        st.integers(2, 64).map(lambda size: pieces(data, size)),
        anywhere.map(lambda edges: cut(data, edges)),
    )
