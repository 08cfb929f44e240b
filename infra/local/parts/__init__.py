"""The parts of the local stack, one file a server."""
