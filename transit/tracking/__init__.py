"""The pure tracking core: clean, match, assign, observe, predict, changes."""
