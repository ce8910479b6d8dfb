"""How far a record can be trusted. Nothing of it is run, and no torch is imported."""
