"""Connections, listeners and streams, as asyncio's callers know them."""
