"""The module's six sockets, from the reserved connect ID to the confirmed close."""
