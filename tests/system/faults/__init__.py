"""What the integration must survive, one file for each kind of fault."""
