"""A shell in memory: a documented subset of bash and GNU userland over a virtual tree. Nothing of it touches the host."""
