"""asyncio's own calls redirected through the module, for the code inside ``installed()``."""
