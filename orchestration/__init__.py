"""When datasets are made, and with which live clients."""
