"""Secrets with known marks go through everything that can go wrong; then whatever came out is searched for them.

`marks` makes them and knows the forms in which one might come out. `mirror` is a provider that shows a key in every
place of an answer where it can. `house` is the service as it is shipped, full of such secrets. What holds after every
test is in `conftest`: none of them is in an answer, in the log, in what a command said, or in a file of the database.

The faults of the catalogue are not listed here: their own suite, tests/faults, is a house of canaries too.
"""
