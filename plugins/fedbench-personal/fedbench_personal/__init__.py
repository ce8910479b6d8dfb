"""Personalised federated learning: each client ends with a model of its own."""
