"""Fetching records from remote sources; each module is one kind of source."""
