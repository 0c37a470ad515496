"""How fast our server is, beside the reference, both looked at from outside."""
