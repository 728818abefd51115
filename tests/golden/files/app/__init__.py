"""Code of the golden files."""
