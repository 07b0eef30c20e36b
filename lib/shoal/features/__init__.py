"""From events to activity to features: DataFrames in, DataFrames out."""
