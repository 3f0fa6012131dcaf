"""Renderings of a stop's board that the server makes, one file each with one constant ``RENDERING``."""
