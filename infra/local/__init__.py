"""The local stack: real engines from packages, and the command line."""
