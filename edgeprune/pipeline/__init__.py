"""The stages from recordings to evidence, in order: the only room that knows all others."""
