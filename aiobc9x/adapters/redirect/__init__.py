"""Redirect asyncio's own calls through the module, for the code inside ``installed()``."""
