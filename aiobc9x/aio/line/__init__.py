"""The line to the module: its byte stream, the driver that reads it, and who hears of what."""
