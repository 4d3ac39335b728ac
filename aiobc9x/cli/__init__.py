"""The command line: ``python -m aiobc9x``."""
