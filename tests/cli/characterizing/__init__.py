"""What finds out the habits of a module."""
