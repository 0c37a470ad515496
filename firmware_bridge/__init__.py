"""The bridge: brings devices that speak something else onto MoaT-Link. Knows no Home Assistant."""
