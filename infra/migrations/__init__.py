"""Schemas, tables and roles of PostgreSQL."""
