"""Edges to those who move money for us: the acquirer of bank cards."""
