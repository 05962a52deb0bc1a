"""How far a machine is outside the region that its lease names."""
