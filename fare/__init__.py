"""Money: what a ride costs and who is owed what."""
