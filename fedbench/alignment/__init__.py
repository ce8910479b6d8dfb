"""The alignment track: clients train a projector and its parameters travel."""
