"""With the real MoaT: its server, its command line and its client."""
