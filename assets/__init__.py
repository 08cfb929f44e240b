"""What the platform holds: every dataset and how it is made."""
