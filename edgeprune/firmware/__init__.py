"""From an IntegerNetwork to C sources, images and a host library."""
