"""When two questions ask the same: their facts, their vectors, and how alike they must be."""
