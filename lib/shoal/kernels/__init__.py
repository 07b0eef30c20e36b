"""Statistics of Shoal: numpy arrays in, frozen dataclasses out, and no Spark anywhere."""
