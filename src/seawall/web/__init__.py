"""Everything that speaks ASGI."""
