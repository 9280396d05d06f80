"""Types, settings, errors and workspace paths: what everyone may import, and imports nothing of ours."""

from understudy.core.quiet import hush

hush()
