"""The static site: boards, their entries, scenarios and methods as pages that need nothing but a browser."""
