"""Types, settings, errors and workspace paths: what everyone may import, and imports nothing of ours."""
