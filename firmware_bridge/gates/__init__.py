"""Gates: plain MQTT topics and MoaT data, translated into each other (docs/gates.md)."""
