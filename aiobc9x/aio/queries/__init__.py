"""Questions to the module that concern no connection, and raw commands."""
