"""pyserial's LineReader: it splits at each CRLF, those inside payloads too."""

from collections.abc import Sequence

from serial.threaded import LineReader

from benchmarks.workloads import Line


class _Lines(LineReader):  # type: ignore[misc]  # pyserial has no types
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def handle_line(self, line: str) -> None:
        self.lines.append(line)


class Lines:
    """Chunks in, lines out."""

    def __init__(self) -> None:
        self._reader = _Lines()

    def run(self, chunks: Sequence[bytes]) -> list[Line]:
        """Take chunks; return the lines they complete."""
        self.feed_all(chunks)
        return [(line.encode(),) for line in self._reader.lines if line]

    def feed_all(self, chunks: Sequence[bytes]) -> None:
        """Take chunks; keep the lines as pyserial gives them."""
        self._reader.lines = []
        take = self._reader.data_received
        for chunk in chunks:
            take(chunk)
