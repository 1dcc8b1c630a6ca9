"""ProMISe-2D: SAM that prompts itself and shifts its mask tokens (Wang et al. 2024, arXiv 2403.04164)."""
