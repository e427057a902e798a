"""Bills of materials of a result directory: its firmware, its Python side, its network."""
