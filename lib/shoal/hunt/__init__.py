"""What hunters ask of published nights, answered from tables alone."""
