"""Dialects: the languages that providers speak, one module each. `upstream.dialect` has their interface."""
