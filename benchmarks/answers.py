"""What a module says to the commands of start-up, made beforehand."""

from typing import Final

from tests.support.words import ATTACHED, CLOSE_OK, OK, framed

ANSWERS: Final = {f"{line}\r".encode(): framed(answer) for line, answer in ATTACHED.items()}


def answer(line: bytes) -> bytes:
    """Return what the module says to a command line."""
    return OK + CLOSE_OK if line.startswith(b"AT+QICLOSE") else ANSWERS.get(line, OK)
