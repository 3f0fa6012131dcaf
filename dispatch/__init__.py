"""The control room: the live map."""
