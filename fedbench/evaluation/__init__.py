"""Measuring trained parameters: likelihoods and generations of the frozen LLM, metrics with errors."""
