"""The preference track: clients fit reward models and their rewards travel."""
