"""Clients of the stores: how each is opened and the few verbs we use."""
