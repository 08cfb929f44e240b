"""A question becomes a plan, without a model where the catalogue and the date grammar cover it."""
