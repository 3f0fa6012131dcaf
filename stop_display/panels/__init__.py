"""The fleet of boards: which are registered, what they are told to show, and whether they show it."""
