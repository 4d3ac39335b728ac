"""From a port in an unknown state to a module in step, and on to a network."""
