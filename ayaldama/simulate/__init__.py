"""A city's buses, made up: duties, traffic, movement and trackers, with the truth at hand to judge predictions by."""
