"""The paths an answer can take, cheapest first."""
