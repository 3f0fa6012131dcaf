"""PostgreSQL and Redis as the rooms of money see them."""
