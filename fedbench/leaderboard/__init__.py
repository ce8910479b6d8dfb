"""Boards over records: their definition, the ranking, what checks a record. No torch here."""
