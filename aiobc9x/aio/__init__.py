"""Tasks, transports, streams and the modem, on asyncio."""
