"""script/demo: a whole installation on one machine, to look at or to be checked."""
