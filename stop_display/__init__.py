"""Boards at stops: subscription, state, renderings."""
