"""The site: that it is whole, and how it does in a browser."""
