"""The contract of methods, plugins and scenarios. Imports no torch."""
