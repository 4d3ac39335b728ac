"""The command line: ``python -m aiobc9x``."""

INTERRUPTED = 130
"""What a shell reports for a program that SIGINT ended."""
