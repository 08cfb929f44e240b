"""Who may ask what, and what it may cost."""
