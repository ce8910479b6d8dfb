"""How records are fetched from elsewhere; each module is one kind of place."""
