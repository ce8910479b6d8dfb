"""What a run of each track is."""
