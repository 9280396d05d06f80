"""Drafts of a job by workers of a Ray cluster; what is sent, paid for and kept stays in the process that runs it."""
