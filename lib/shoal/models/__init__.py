"""Candidates, fits, per-slice refinement, scoring and the registry."""
