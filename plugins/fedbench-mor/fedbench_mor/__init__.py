"""MoR for fedbench: a mixture of rewards with a learned router (arXiv 2605.03426)."""
