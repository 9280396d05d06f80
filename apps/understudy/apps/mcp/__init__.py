"""An MCP server: `ask`, `search` and `read_passage` for any program that speaks the Model Context Protocol."""
