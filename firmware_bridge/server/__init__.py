"""The MoaT-Link server: keeps the tree, answers clients, stands back where another one runs."""
