"""Rides, top-ups and questions by SMS: what is asked (``grammar``), what is answered (``wording``). Pure."""
