"""Records of runs, how they are stored, and how they are compared. No torch here."""
