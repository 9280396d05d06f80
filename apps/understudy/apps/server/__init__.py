"""One process that serves a workspace: who may come in, in which order they are answered, and what they may send."""
