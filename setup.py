"""Everything about the package is in setup.cfg; this file is for the tools that look for it."""

from setuptools import setup

setup()
