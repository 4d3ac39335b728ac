"""asyncio transports over a socket of the module."""
