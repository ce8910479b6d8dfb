"""The numerics number: raised by a change of fedbench that changes the bits of a run.

Records of different numbers are compared apart. ``tests/test_numerics.py`` holds two rounds of every method
to recorded digests, so that no bit changes unnoticed; docs/design.md says what to do when one has to.
"""

NUMERICS = 1
"""The number of this version."""
