"""The REST gateway: the desk's calls as JSON over HTTP, for callers without gRPC."""
