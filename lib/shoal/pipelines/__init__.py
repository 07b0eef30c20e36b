"""Wiring: one function a step. Steps pass nothing between them but tables."""
