"""What people install: the source distribution and the wheel, and what they say of themselves."""
