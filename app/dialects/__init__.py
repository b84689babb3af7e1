"""Dialects: the languages that providers speak. A module each; `upstream.dialect` has what each offers."""
