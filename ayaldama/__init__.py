"""Puts the rooms together: command line, settings, embedded servers, HTTP application, simulator."""
