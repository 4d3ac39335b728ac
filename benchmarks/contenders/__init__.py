"""Other ways to split the same bytes, to compare the framer with."""
