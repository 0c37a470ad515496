"""Checks of this repository that no tool on the shelf makes."""
