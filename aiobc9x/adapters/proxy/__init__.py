"""A local proxy: SOCKS5, HTTP CONNECT and forwarded ports through the module."""
