"""Sessions: sans-I/O protocols, their messages, and the plan that a session follows."""
