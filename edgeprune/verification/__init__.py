"""What is proved of an IntegerNetwork, and what other implementations make of it."""
