"""Measuring a projector: likelihoods and generations of the frozen LLM, metrics with standard errors."""
