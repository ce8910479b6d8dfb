"""Federated instruction tuning at nano size: questions of seven kinds, and a start that can already see."""
