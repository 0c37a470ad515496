"""MoaT-Link on the wire: a complete client, independent of Home Assistant."""
