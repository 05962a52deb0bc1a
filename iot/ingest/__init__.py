"""From the broker into the database: admitted, put in order, folded, stored, then acknowledged."""
