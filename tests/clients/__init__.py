"""Real clients against real servers, over the virtual module on a pty at 20 ms."""
