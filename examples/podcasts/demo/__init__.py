"""The demo: stubs, service and traffic, a story with a bad day in it, and a screen to watch it on."""
