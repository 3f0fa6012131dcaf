"""HTTP of the rooms of money."""
