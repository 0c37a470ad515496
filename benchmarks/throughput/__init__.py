"""How fast values arrive, how much may arrive at once, what the decoder stands."""
