"""The published metrics and dimensions, and the SQL a plan compiles to."""
