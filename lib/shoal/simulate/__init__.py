"""A fleet to try Shoal on: raw logs of machines that do not exist, and what is planted in them."""
