"""What the adapters for httpx, httpx2, httpcore and httpcore2 share."""
