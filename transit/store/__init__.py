"""Edges to Redis and PostgreSQL, one module per outside structure."""
